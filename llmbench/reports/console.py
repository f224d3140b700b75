"""The terminal: notes and progress on stderr, results on stdout."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import rich.console
from rich import box
from rich.console import RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from llmbench.errors import LlmbenchError
from llmbench.events import Listener, ignore
from llmbench.plan import Plan
from llmbench.reports.progress import LiveProgress, PlainProgress

PIPE_WIDTH = 120
"""Width of the tables where there is no terminal to measure."""

_UNBOUNDED = rich.console.Console(width=100_000)


@dataclass(slots=True)
class RunStatus:
    """The end of a run: `failure` is the error that cut it short, if there was one."""

    interrupted: bool = False
    failure: LlmbenchError | None = None


class Console:
    """Writes to stdout and stderr; a quiet console prints warnings only."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._err = rich.console.Console(stderr=True, highlight=False, markup=False)
        self._out = rich.console.Console(highlight=False, markup=False)
        if not self._out.is_terminal:
            self._out.width = PIPE_WIDTH

    @property
    def width(self) -> int:
        """Columns of text on stdout."""
        return self._out.width

    def info(self, line: str) -> None:
        """Print a note on stderr, unless quiet."""
        if not self._quiet:
            self._err.print(line, soft_wrap=True)

    def warn(self, line: str) -> None:
        """Print a warning on stderr, also when quiet."""
        self._err.print(f"llmbench: {line}", style="yellow", soft_wrap=True)

    @contextmanager
    def progress(self, plan: Plan) -> Iterator[Listener]:
        """Show a run's progress on stderr while the context lasts; yields the listener."""
        totals = plan.totals
        self.info(plan.outline)
        if self._quiet:
            yield ignore
        elif self._err.is_terminal:
            with LiveProgress(self._err, totals) as live:
                yield live
        else:
            with PlainProgress(self._err, totals) as plain:
                yield plain

    def print_tables(self, parts: Iterable[RenderableType]) -> None:
        """Print parts on stdout, unless quiet: tables, sentences, and strings as they are.

        Sentences (rich texts) are wrapped for a terminal only.
        """
        if self._quiet:
            return
        for part in parts:
            if isinstance(part, str):
                self._out.file.write(part)
                continue
            if isinstance(part, Text):
                self._out.print(part, soft_wrap=not self._out.is_terminal)
                continue
            if isinstance(part, Table):
                fit_table(part, self.width)
            self._out.print(part)
            self._out.print()

    def print_raw(self, parts: Iterable[RenderableType]) -> None:
        """Print parts on stdout without wrapping their lines, also when quiet."""
        for part in parts:
            self._out.print(part, soft_wrap=True)

    def print(self, *lines: str) -> None:
        """Print plain lines on stdout, unless quiet."""
        if not self._quiet:
            for line in lines:
                self._out.print(line, soft_wrap=True)


def fit_table(table: Table, width: int) -> bool:
    """Remove frame and padding from a table that is too wide; True if it then fits into `width`.

    A table whose texts alone are too wide is left as it was.
    """
    original = table.box, table.show_edge, table.padding
    for padding in (1, 0):
        if _width(table) > width:
            table.box, table.show_edge, table.padding = box.SIMPLE_HEAD, False, (0, padding, 0, 0)
    if _width(table) <= width:
        return True
    table.box, table.show_edge, table.padding = original
    return False


def _width(table: Table) -> int:
    """Return the columns of text that a table fills if no cell is wrapped."""
    return Measurement.get(_UNBOUNDED, _UNBOUNDED.options, table).maximum
