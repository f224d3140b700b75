"""The terminal: notes and progress on stderr, results on stdout."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from llmbench.errors import LlmbenchError
from llmbench.events import Listener
from llmbench.plan import Plan
from llmbench.reports.channel import Channel, channel_of
from llmbench.reports.fitting import FittingTable
from llmbench.reports.live import LiveProgress
from llmbench.reports.progress import PlainProgress, QuietProgress
from llmbench.reports.sanitize import escape_controls

PIPE_WIDTH = 120
"""Width of the tables where there is no terminal to measure."""


@dataclass(slots=True)
class RunStatus:
    """The end of a run: `failure` is the error that cut it short, if there was one."""

    interrupted: bool = False
    failure: LlmbenchError | None = None


class _SafeConsole(rich.console.Console):
    """Renders every text without characters that steer a terminal, tables and progress included.

    Names, answers and messages come from models, servers and files.
    """

    def __init__(self, channel: Channel, **settings: Any) -> None:
        super().__init__(file=cast("IO[str]", channel), highlight=False, markup=False, **settings)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of a renderable; control codes of rich itself stay."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(escape_controls(text), style)


class Console:
    """Writes to stdout and stderr; a quiet console prints warnings only.

    All text passes `_SafeConsole`. A stream that breaks loses its text and ends no run.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self._err = _SafeConsole(channel_of(sys.stderr), stderr=True)
        self._out = _SafeConsole(channel_of(sys.stdout))
        if not self._out.is_terminal:
            self._out.width = PIPE_WIDTH

    @property
    def width(self) -> int:
        """Columns of text on stdout."""
        return self._out.width

    def info(self, line: str) -> None:
        """Print a note on stderr, unless quiet."""
        if not self.quiet:
            self._err.print(line, soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print a warning on stderr, also when quiet."""
        self._err.print(f"llmbench: {line}", style="yellow", soft_wrap=True)

    @contextmanager
    def progress(self, plan: Plan) -> Iterator[Listener]:
        """Show a run's progress on stderr while the context lasts; yields the listener."""
        totals = plan.totals
        self.info(plan.outline)
        if self.quiet:
            yield QuietProgress(self.warn)
        elif self._err.is_terminal and not self._err.is_dumb_terminal:
            with LiveProgress(self._err, totals) as live:
                yield live
        else:
            with PlainProgress(self._err, totals) as plain:
                yield plain

    def print_tables(self, parts: Iterable[RenderableType]) -> None:
        """Print parts on stdout, unless quiet: tables, sentences, and strings as they are.

        Sentences (rich texts) are wrapped for a terminal only.
        """
        if self.quiet:
            return
        for part in parts:
            if isinstance(part, str):
                self.write(part)
                continue
            if isinstance(part, Text):
                self._out.print(part, soft_wrap=not self._out.is_terminal)
                continue
            if isinstance(part, FittingTable) and not self._out.is_terminal:
                # A pipe has no width: programs such as grep need whole lines.
                self._out.width = max(PIPE_WIDTH, part.width)
            self._out.print(part)
            if not self._out.is_terminal:
                self._out.width = PIPE_WIDTH
            self._out.print()

    def print_raw(self, parts: Iterable[RenderableType]) -> None:
        """Print parts on stdout without wrapping their lines, also when quiet."""
        for part in parts:
            self._out.print(part, soft_wrap=True)

    def write(self, text: str) -> None:
        """Write JSON or Markdown on stdout as it is, also when quiet."""
        self._out.file.write(escape_controls(text))

    def print(self, *lines: str) -> None:
        """Print plain lines on stdout, unless quiet."""
        if not self.quiet:
            for line in lines:
                self._out.print(line, soft_wrap=True)
