"""Flags of `llmbench grade`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench.cli.options import (
    Parser,
    ProblemOptions,
    SandboxOptions,
    output_flags,
    problem_flags,
    problem_options,
    sandbox_flags,
    sandbox_options,
)

DESCRIPTION = """\
Grades answers that are there already, and asks no model: the same tests, rows and tables as in a
run."""

EPILOG = """\
ANSWERS is a file with a JSON object in each line,

  {"problem_id": "…", "answer": "the whole text of the answer", "run": 1}

- stands for stdin. Without `run`, the answers to a problem count as its runs in their order. A
field `target` ("provider/model") or `model` says who wrote it, `finish_reason` how it ended
("length": it was cut). Or ANSWERS is the folder of an earlier run, or its journal: its answers are
graded again, with the times and tokens that they had.

What cannot be graded is told with its line, costs that line alone, and makes the exit code 1.

examples:
  llmbench grade answers.jsonl --model gpt-4.1 --out graded.parquet
  llmbench grade _work/20260131-013000-a1b2 --warm"""


@dataclass(frozen=True, slots=True)
class Options:
    """Which answers are graded, where, and what is written; `answers` is None for stdin."""

    answers: Path | None
    model: str | None
    problems: ProblemOptions
    sandbox: SandboxOptions
    out: tuple[Path, ...]
    quiet: bool


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    given = parser().parse_args(argv)
    return Options(
        answers=None if given.answers == Path("-") else given.answers,
        model=given.model,
        problems=problem_options(given),
        sandbox=sandbox_options(given),
        out=tuple(dict.fromkeys(given.out)),
        quiet=given.quiet,
    )


def parser() -> argparse.ArgumentParser:
    """The flags of `grade`."""
    made = Parser(
        prog="llmbench grade",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    made.add_argument(
        "answers",
        type=Path,
        metavar="ANSWERS",
        help="file with an answer in each line, - for stdin, or the folder of an earlier run",
    )
    made.add_argument(
        "--model",
        metavar="NAME",
        help="who wrote the answers that name nobody (default: the name of the file)",
    )
    problem_flags(made.add_argument_group("which problems"))
    sandbox_flags(made.add_argument_group("where tests run"))
    output_flags(made.add_argument_group("what is written"))
    return made
