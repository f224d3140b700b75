"""Options of `llmbench report`."""

from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.options import option, optional_path, paths
from llmbench.plan import bundled_dir
from llmbench.runs.options import RunnerOptions

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
  llmbench report nights/all -o nights.html"""


@frozen(kw_only=True, slots=False)
class ReportOptions(RunnerOptions):
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
    work_dir: Path | None = field(
        default=None,
        converter=optional_path,
        metadata=option(
            "folder that holds the runs' folders",
            "FOLDER",
            default="_work beside the files, and here",
            former=["--work"],
        ),
    )
    problems: tuple[Path, ...] = field(
        default=(),
        converter=paths,
        metadata=option(
            "problem file or folder that has the prompts; repeatable",
            "PATH",
            default="the bundled problems",
        ),
    )

    @property
    def problem_paths(self) -> tuple[Path, ...]:
        """The problem files and folders to read."""
        return self.problems or (bundled_dir("problems"),)


COMMAND = Command("llmbench report", DESCRIPTION, ReportOptions, EPILOG)
