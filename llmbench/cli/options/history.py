"""Flags of `llmbench history`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench.cli.options import FORMATS, Parser, format_flag, positive_int

DESCRIPTION = """\
Shows the trend over the nights of a folder: result files with a date in their name, as
2026-01-31.parquet or 2026-01-31-model.parquet, or in a folder of that name."""


@dataclass(frozen=True, slots=True)
class Options:
    """Which nights, and how to show them."""

    folder: Path
    last: int | None
    format: str


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    given = parser().parse_args(argv)
    return Options(given.folder, given.last, given.format)


def parser() -> argparse.ArgumentParser:
    """The flags of `history`."""
    made = Parser(
        prog="llmbench history",
        description=DESCRIPTION,
    )
    made.add_argument("folder", type=Path, metavar="DIR", help="folder of dated result files")
    made.add_argument(
        "--last", type=positive_int(1), metavar="N", help="only the last N nights (default: all)"
    )
    format_flag(made, FORMATS)
    return made
