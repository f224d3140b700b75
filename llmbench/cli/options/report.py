"""Flags of `llmbench report`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench import plan
from llmbench.cli.options import Parser

DESCRIPTION = """\
Writes one HTML page about results, complete in itself: leaderboard, heat map of problems, cost,
speed, stability, and every attempt with its prompt, answer, code and log. It opens offline and asks
nothing of any server."""

EPILOG = """\
Where each file has a date in its name, or in its folder's, the page shows each target by its newest
night, and all nights as a trend. Texts come from the work folders of the runs, as in `llmbench
show`; what is not there any more is said. Needs pip install 'llmbench[report]'.

examples:
  llmbench report results.parquet
  llmbench report nights/all -o nights.html"""


@dataclass(frozen=True, slots=True)
class Options:
    """Which results, where to look for what was kept of their attempts, and the file to write."""

    results: tuple[Path, ...]
    out: Path
    work: Path | None
    problems: tuple[Path, ...]


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    given = parser().parse_args(argv)
    return Options(
        results=tuple(given.results),
        out=given.out,
        work=given.work,
        problems=tuple(given.problems or [plan.bundled_dir("problems")]),
    )


def parser() -> argparse.ArgumentParser:
    """The flags of `report`."""
    made = Parser(
        prog="llmbench report",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    made.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="result file, .csv or .parquet, or folder of them and of folders of them",
    )
    made.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("report.html"),
        metavar="PAGE",
        help="page to write (default: %(default)s)",
    )
    made.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="folder that holds the runs' folders (default: _work beside the files, and here)",
    )
    made.add_argument(
        "--problems",
        type=Path,
        action="append",
        metavar="PATH",
        help="problem file or folder that has the prompts; repeatable (default: those shipped)",
    )
    return made
