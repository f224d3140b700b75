"""Flags of `llmbench schema`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from llmbench.cli.options import FORMATS, Parser, format_flag


@dataclass(frozen=True, slots=True)
class Options:
    """How to show the columns."""

    format: str


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    return Options(parser().parse_args(argv).format)


def parser() -> argparse.ArgumentParser:
    """The flags of `schema`."""
    made = Parser(
        prog="llmbench schema",
        description="Tells name, type, unit and meaning of each column of a result file.",
    )
    format_flag(made, FORMATS)
    return made
