"""Flags of `llmbench show`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench import plan
from llmbench.cli.options import Parser, positive_int

DESCRIPTION = """\
Shows one attempt: the prompt, the answer, the code found in it, and the test log; then its repairs,
if it has any."""

EPILOG = """\
The rows are in the result file and, for repairs, in that beside it; answer, code and log are in
the work folder of the run, which is looked for beside the file. What is not there any more is said.

examples:
  llmbench show results.csv python-lru-ttl-cache
  llmbench show results.parquet 'python-lru-ttl-cache#2' --target openai/gpt-4.1"""


@dataclass(frozen=True, slots=True)
class Options:
    """Which attempt to show, and where to look for what was kept of it."""

    result: Path
    problem: str
    run: int
    target: str | None
    work: tuple[Path, ...]
    problems: tuple[Path, ...]


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    made = parser()
    given = made.parse_args(argv)
    problem, _, run = given.problem.partition("#")
    try:
        number = positive_int(1)(run or "1")
    except argparse.ArgumentTypeError as error:
        made.error(f"argument PROBLEM: {given.problem}: run {error}")
    return Options(
        result=given.result,
        problem=problem,
        run=number,
        target=given.target,
        work=(given.work or given.result.parent / plan.WORK_FOLDER, plan.WORK_FOLDER),
        problems=tuple(given.problems or [plan.bundled_dir("problems")]),
    )


def parser() -> argparse.ArgumentParser:
    """The flags of `show`."""
    made = Parser(
        prog="llmbench show",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    made.add_argument("result", type=Path, metavar="RESULT", help="result file, .csv or .parquet")
    made.add_argument(
        "problem", metavar="PROBLEM[#RUN]", help="problem id and number of the run (default: #1)"
    )
    made.add_argument(
        "--target",
        metavar="PROVIDER/MODEL",
        help="whose attempt, or the model alone (default: the only one in the file)",
    )
    made.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="folder that holds the runs' folders (default: _work beside the file, and here)",
    )
    made.add_argument(
        "--problems",
        type=Path,
        action="append",
        metavar="PATH",
        help="problem file or folder that has the prompt; repeatable (default: those shipped)",
    )
    return made
