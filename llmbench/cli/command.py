"""A command as data: its name, its texts and its options."""

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from llmbench._version import __version__
from llmbench.options import Options, Parser, fill
from llmbench.reports.sanitize import escape_controls

VERBOSITY = (logging.WARNING, logging.INFO, logging.DEBUG)
"""Log levels without -v, with -v and with -vv."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the command line.

    `description` and `epilog` are texts of `--help`. A command has `options`, or `actions` with
    options of their own, of which one may be the default. `prepare` changes the words of the
    command line before they are parsed.
    """

    prog: str
    description: str
    options: type[Options] = Options
    epilog: str = ""
    actions: Mapping[str, "Command"] | None = None
    default_action: str = ""
    prepare: Callable[[Sequence[str]], Sequence[str]] = lambda words: words

    def parser(self, *, everyday: bool = False) -> Parser:
        """Make the parser; with `everyday`, its help shows everyday options only."""
        parser = Parser(prog=self.prog, description=self.description, epilog=self.epilog)
        self.fill(parser, everyday=everyday)
        return parser

    def fill(self, parser: argparse.ArgumentParser, *, everyday: bool = False) -> None:
        """Add everything about this command to a parser."""
        if self.actions:
            subparsers = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
            for name, action in self.actions.items():
                subparser = subparsers.add_parser(
                    name,
                    prog=action.prog,
                    help=action.description,
                    description=action.description,
                    epilog=action.epilog,
                )
                action.fill(subparser)
        else:
            fill(parser, self.options, everyday=everyday)
        general = parser.add_argument_group("general")
        general.add_argument(
            "-v",
            "--verbose",
            action="count",
            default=argparse.SUPPRESS,
            help="log requests, retries and containers on stderr; -vv logs more",
        )
        general.add_argument("-h", "--help", action="help", help="show this help")

    def parse(self, words: Sequence[str]) -> Options:
        """Read the words of the command line, and set up logging.

        Raises:
            UsageError: an option is unknown, missing or wrong.
        """
        words = self._with_action(self.prepare(words))
        values = vars(self.parser().parse_args(words))
        set_up_logging(values.pop("verbose", 0))
        command = self.actions[values.pop("action")] if self.actions else self
        return command.options.from_values(values)

    def _with_action(self, words: Sequence[str]) -> list[str]:
        """The words, with the default action before flags that name no action and no help."""
        named = {*(self.actions or ()), "-h", "--help"}.intersection(words)
        if self.default_action and not named and all(word.startswith("-") for word in words[:1]):
            return [self.default_action, *words]
        return list(words)


def with_format(words: Sequence[str]) -> list[str]:
    """Return the words with `--format=json` for `--json`, the flag of version 0.1."""
    return ["--format=json" if word == "--json" else word for word in words]


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever `sys.stderr` is now: a live display puts itself in its place."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute in the base class
        """Standard error."""
        return sys.stderr


class _Formatter(logging.Formatter):
    """Formats records, whose texts may come from a server or a file, without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return escape_controls(super().format(record))


def set_up_logging(verbosity: int) -> None:
    """Send the log records of llmbench to stderr: from INFO with 1, from DEBUG with 2 or more."""
    if not verbosity:
        return
    handler = _StandardError()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("llmbench")
    logger.setLevel(VERBOSITY[min(verbosity, len(VERBOSITY) - 1)])
    logger.addHandler(handler)


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add --version."""
    parser.add_argument_group("version").add_argument(
        "--version",
        action="version",
        version=f"llmbench {__version__}",
        help="show the version",
    )
