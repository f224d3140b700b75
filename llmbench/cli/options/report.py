"""Options of `llmbench report`."""

from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.cli.options.attempt_texts import AttemptTextOptions
from llmbench.options import option, paths

DESCRIPTION = """\
Write one HTML page about results, complete in itself: leaderboard, heat map of problems, cost,
speed, stability, and every attempt with its prompt, answer, code and log. It opens offline and
sends no request to any server."""

EPILOG = """\
If each file has a date in its name, or in its folder's, the page shows each target by its latest
date, and all dates as a trend. Texts come from the work folders of the runs, as in `llmbench
show`; the page says which are gone. Needs pip install 'llmbench[report]'.

examples:
  llmbench report results.parquet
  llmbench report nights/all -o nights.html
  llmbench report _work/20261130-104819-70c6 --format markdown"""


@frozen(kw_only=True, slots=False)
class ReportOptions(AttemptTextOptions):
    """Results, the folders of their runs, and the page to write."""

    results: tuple[Path, ...] = field(
        converter=paths,
        metadata=option(
            "result file, .csv or .parquet, or folder of them and of folders of them",
            "FILE",
            positional=True,
        ),
    )
    out: Path = field(
        default=Path("report.html"),
        converter=Path,
        metadata=option("page to write", "PAGE", default="report.html", short="-o"),
    )
    format: str = field(
        default="html",
        metadata=option(
            "html: the page; markdown: a card on standard output, to paste into an issue or README",
            choices=("html", "markdown"),
        ),
    )


COMMAND = Command("llmbench report", DESCRIPTION, ReportOptions, EPILOG)
