"""Flags of `llmbench doctor`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from llmbench.cli.options import Parser

DESCRIPTION = """\
Says what of this machine can be used: the container engine with its limits, runtimes and images,
bubblewrap, the toolchains, caches, local model servers, and which keys are set (never the keys)."""

EPILOG = """\
Each line is ok, missing or wrong, with what to do next.

exit codes: 0 some sandbox serves every language, 1 none does, 2 wrong usage"""


@dataclass(frozen=True, slots=True)
class Options:
    """Whether to mend what can be mended, and whether programs read what is said."""

    fix: bool
    json: bool


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    given = parser().parse_args(argv)
    return Options(given.fix, given.json)


def parser() -> argparse.ArgumentParser:
    """The flags of `doctor`."""
    made = Parser(
        prog="llmbench doctor",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    made.add_argument(
        "--fix",
        action="store_true",
        help="remove containers of dead runs and stale set-ups, and say so (default: only look)",
    )
    made.add_argument(
        "--json", action="store_true", help="write JSON, for programs (default: text)"
    )
    return made
