"""Flags of `llmbench compare`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench.cli.options import FORMATS, Parser, float_range, format_flag

DESCRIPTION = """\
Compares results problem by problem: what passes now that did not, what no longer does, and whether
chance alone explains it. Problems that have changed in between are left out and named."""

EPILOG = """\
A target of a later file is compared with the same target in the first, or with the only one there;
of one file, each two of its targets are compared.

exit codes: 0 compared, 1 regression, 2 cannot be compared

examples:
  llmbench compare monday.parquet tuesday.parquet
  llmbench compare results.csv                        its targets with one another
  llmbench compare old.parquet new.parquet --fail-on-regression --format markdown"""

REGRESSION = "--fail-on-regression"
SIGNIFICANT = "significant"
"""Stands for the points where --fail-on-regression names none."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to compare, how to show it, and when to fail.

    `points` is the fall in percentage points that fails, None where significance decides.
    """

    results: tuple[Path, ...]
    base: str | None
    fail: bool
    points: float | None
    format: str


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    given = parser().parse_args(list(_with_points(argv)))
    points = given.fail_on_regression
    return Options(
        results=tuple(given.results),
        base=given.base,
        fail=points is not None,
        points=points if isinstance(points, float) else None,
        format=given.format,
    )


def parser() -> argparse.ArgumentParser:
    """The flags of a comparison."""
    made = Parser(
        prog="llmbench compare",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    made.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULT",
        help="result file, .csv or .parquet, or folder of them; the first is the one to compare "
        "with",
    )
    made.add_argument(
        "--base",
        metavar="TARGET",
        help="target that all others are compared with (default: the same one in the first file)",
    )
    made.add_argument(
        REGRESSION,
        nargs="?",
        type=_points,
        const=SIGNIFICANT,
        metavar="POINTS",
        help="exit 1 if a pass rate fell by more than so many percentage points; without POINTS, "
        "by more than chance explains (default: exit 0)",
    )
    format_flag(made, FORMATS)
    return made


def _points(text: str) -> float | str:
    return text if text == SIGNIFICANT else float_range(0, 100)(text)


def _with_points(argv: Sequence[str]) -> Sequence[str]:
    """The words, where a file after a bare --fail-on-regression is not taken for its POINTS."""
    words = list(argv)
    for place, word in enumerate(words):
        following = words[place + 1 : place + 2]
        if word == REGRESSION and following and not _is_number(following[0]):
            words[place] = f"{word}={SIGNIFICANT}"
    return words


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
