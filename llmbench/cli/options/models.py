"""Flags of `llmbench models`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench.cli.options import Parser

DESCRIPTION = """\
Lists the chat models that a server offers: which of them are loaded, how much context they take,
what they cost, as far as the server tells."""

EPILOG = """\
examples:
  llmbench models
  llmbench models --provider openrouter --only 'anthropic/*'
  llmbench models --base-url http://gpu-box:1234/v1 --json"""


@dataclass(frozen=True, slots=True)
class Options:
    """Which server is asked, and how its models are shown."""

    provider: str
    base_url: str | None
    config: Path | None
    only: tuple[str, ...]
    json: bool


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    given = parser().parse_args(argv)
    only = tuple(filter(None, (given.only or "").split(",")))
    return Options(given.provider, given.base_url, given.config, only, given.json)


def parser() -> argparse.ArgumentParser:
    """The flags of `models`."""
    made = Parser(
        prog="llmbench models",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    made.add_argument(
        "--provider",
        default="lmstudio",
        metavar="NAME",
        help="whose models (default: lmstudio)",
    )
    made.add_argument(
        "--base-url", metavar="URL", help="address of the server (default: the provider's)"
    )
    made.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML with more providers (default: llmbench.yaml, if there is one)",
    )
    made.add_argument(
        "--only", metavar="GLOB,GLOB", help="only models whose id matches (default: all)"
    )
    made.add_argument("--json", action="store_true", help="a JSON array (default: a table)")
    return made
