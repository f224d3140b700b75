"""Flags of `llmbench sweep`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from llmbench.cli.options import Parser

DESCRIPTION = """\
Runs each target of a sweep file on each of its problem sets, one after another in one process, and
writes one Parquet file per target: <out>/<set>/<date>/<target>.parquet."""

EPILOG = """\
What has its file already is not asked again: start a sweep that was cut short once more, with the
same --date. A target that was not finished has no file, so that what is there is whole.

a sweep file:
  out: nights
  run: {runs: 3, sandboxes: 4}          # flags of `llmbench run`, for all
  targets:
    - {provider: lmstudio, model: qwen3-coder}
    - {provider: openrouter, model: [openai/gpt-4.1, anthropic/claude-sonnet-4]}
  sets:
    small: {only: [python-*, go-*], temperature: 0}
    all: {}

exit codes: 0 all is there, 1 something failed, 2 wrong usage, 130 Ctrl-C"""


@dataclass(frozen=True, slots=True)
class Options:
    """Which sweep, and under which date its files are kept."""

    file: Path
    date: str
    quiet: bool


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    given = parser().parse_args(argv)
    return Options(given.file, given.date or f"{date.today():%Y-%m-%d}", given.quiet)


def parser() -> argparse.ArgumentParser:
    """The flags of `sweep`."""
    made = Parser(
        prog="llmbench sweep",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    made.add_argument("file", type=Path, metavar="FILE", help="sweep file, YAML")
    made.add_argument(
        "--date", type=_date, metavar="YYYY-MM-DD", help="date of the files (default: today)"
    )
    made.add_argument(
        "--quiet", action="store_true", help="no progress and no summary (default: both)"
    )
    return made


def _date(text: str) -> str:
    try:
        return f"{date.fromisoformat(text):%Y-%m-%d}"
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date as 2026-01-31") from None
