"""Options of `llmbench compare`."""

from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.cli.options import FORMATS
from llmbench.options import Check, Options, flag_of, number, option, paths

DESCRIPTION = """\
Compare results problem by problem: which pass now and did not, which no longer pass, and whether
chance alone explains it. Problems that have changed in between are excluded and named."""

EPILOG = """\
A target of a later file is compared with the same target in the first, or with the only one there;
of one file, each two of its targets are compared.

exit codes: 0 compared, 1 regression, 2 cannot be compared

examples:
  llmbench compare monday.parquet tuesday.parquet
  llmbench compare results.csv                        its targets with one another
  llmbench compare old.parquet new.parquet --fail-on-regression --format markdown"""

SIGNIFICANT = "significant"
"""Value of --fail-on-regression without POINTS."""

_POINTS = number(0, 100)


def _is_points(value: str) -> bool:
    try:
        return value == SIGNIFICANT or _POINTS.accepts(float(value))
    except ValueError:
        return False


@frozen(kw_only=True, slots=False)
class CompareOptions(Options):
    """Results, the form of the output, and the condition to fail."""

    results: tuple[Path, ...] = field(
        converter=paths,
        metadata=option(
            "result file, .csv or .parquet, or folder of them; the first is the baseline",
            "RESULT",
            positional=True,
        ),
    )
    baseline: str | None = field(
        default=None,
        metadata=option(
            "target that all others are compared with",
            "TARGET",
            default="the same one in the first file",
            former=["--base"],
        ),
    )
    fail_on_regression: str | None = field(
        default=None,
        metadata=option(
            "exit 1 if a pass rate fell by more than POINTS percentage points; without POINTS, if "
            "the same problems pass less often than before by more than chance explains",
            "POINTS",
            default="exit 0",
            bare=SIGNIFICANT,
            check=Check(_POINTS.description, _is_points),
        ),
    )
    format: str = field(default="text", metadata=option("output format", choices=FORMATS))

    @property
    def points(self) -> float | None:
        """The fall in percentage points that fails; None where significance decides."""
        limit = self.fail_on_regression
        return None if limit in (None, SIGNIFICANT) else float(limit or 0)


def _complete(words: Sequence[str]) -> list[str]:
    """Return the words, so that a file after a bare --fail-on-regression is not its POINTS."""
    complete = list(words)
    flag = flag_of("fail_on_regression")
    for place, word in enumerate(complete):
        following = complete[place + 1 : place + 2]
        if word == flag and following and not _is_number(following[0]):
            complete[place] = f"{word}={SIGNIFICANT}"
    return complete


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


COMMAND = Command("llmbench compare", DESCRIPTION, CompareOptions, EPILOG, prepare=_complete)
