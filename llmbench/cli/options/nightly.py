"""Options of `llmbench nightly`."""

from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.cli.options.sweep import SweepOptions, is_date
from llmbench.options import Check, number, option, optional_path, strings, whole_number

DESCRIPTION = """\
Run a sweep, compare each target with its accepted night and with the trend since, write a summary
and a page beside the results, and remove old nights with their work folders."""

EPILOG = """\
The accepted night of a target is its first one, until you accept another one with --accept, or all
of its problems have changed. It does not move by itself, so that no slow decline hides in it.
Nights are compared on the same problems, with runs permuted within each. In a month without any
change, a problem set raises a false alarm with a probability of at most 5 %.

The first line of <out>/<set>/<date>/summary.md is the verdict. The page needs
pip install 'llmbench[report]'.

exit codes: 0 a good night, 1 a regression or a failed run, 2 no comparison is possible or wrong
usage, 130 Ctrl-C

examples:
  llmbench nightly sweep.yaml
  llmbench nightly sweep.yaml --points 5 --keep 90
  llmbench nightly sweep.yaml --accept 2026-01-31       runs nothing"""

LATEST = "latest"


def _is_night(text: str) -> bool:
    return text == LATEST or is_date(text)


@frozen(kw_only=True, slots=False)
class NightlyOptions(SweepOptions):
    """The sweep, its date, the rules of a regression, and what is kept."""

    points: float | None = field(
        default=None,
        metadata=option(
            "a fall by more than POINTS percentage points below the accepted night is a regression",
            "POINTS",
            default="a fall that chance does not explain",
            check=number(0, 100),
        ),
    )
    keep: int = field(
        default=30,
        metadata=option(
            "nights to keep in each problem set, beside the accepted ones",
            "N",
            check=whole_number(1),
        ),
    )
    page: bool = field(
        default=True,
        metadata=option("write report.html beside the results", default="yes", negatable=True),
    )
    accept: str | None = field(
        default=None,
        metadata=option(
            "accept the night of this date, or `latest`, and run nothing",
            "YYYY-MM-DD",
            default="run",
            check=Check("a date such as 2026-01-31, or latest", _is_night),
        ),
    )
    target: tuple[str, ...] = field(
        default=(),
        converter=strings,
        metadata=option("accept it for this target only; repeatable", "TARGET", default="all"),
    )
    nights: Path | None = field(
        default=None,
        converter=optional_path,
        metadata=option(
            "folder that must be the `out` of the sweep file", "FOLDER", default="not checked"
        ),
    )


COMMAND = Command("llmbench nightly", DESCRIPTION, NightlyOptions, EPILOG)
