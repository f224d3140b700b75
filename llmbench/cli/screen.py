"""What people see of a run: notes and progress on stderr, the summary on stdout."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from llmbench.config import Plan
from llmbench.errors import LlmbenchError
from llmbench.events import Event, Listener
from llmbench.reports.fit import fit
from llmbench.reports.progress import LiveProgress, PlainProgress

PLAIN_WIDTH = 120
"""Width of the tables where there is no terminal to measure."""


@dataclass(slots=True)
class Ended:
    """How the asking and testing ended: `failure` is what cut it short, if anything did."""

    interrupted: bool = False
    failure: LlmbenchError | None = None


class Screen:
    """Two consoles; a quiet one keeps warnings and drops the rest."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._err = Console(stderr=True, highlight=False, markup=False)
        self._out = Console(highlight=False, markup=False)
        if not self._out.is_terminal:
            self._out.width = PLAIN_WIDTH

    @property
    def width(self) -> int:
        """Columns of text on stdout."""
        return self._out.width

    def note(self, line: str) -> None:
        """Say what was chosen for the user."""
        if not self._quiet:
            self._err.print(line, soft_wrap=True)

    def warn(self, line: str) -> None:
        """Say what went wrong, also when quiet."""
        self._err.print(f"llmbench: {line}", style="yellow", soft_wrap=True)

    @contextmanager
    def progress(self, plan: Plan) -> Iterator[Listener]:
        """A listener that shows the run's progress while the context lasts."""
        totals = plan.totals
        self.note(plan.outline)
        if self._quiet:
            yield _silent
        elif self._err.is_terminal:
            with LiveProgress(self._err, totals) as live:
                yield live
        else:
            with PlainProgress(self._err, totals) as plain:
                yield plain

    def tell(self, parts: Sequence[RenderableType]) -> None:
        """Show the parts of a summary; sentences are broken for a terminal alone."""
        if self._quiet:
            return
        for part in parts:
            if isinstance(part, Text):
                self._out.print(part, soft_wrap=not self._out.is_terminal)
                continue
            if isinstance(part, Table):
                fit(part, self.width)
            self._out.print(part)
            self._out.print()

    def read(self, parts: Iterable[RenderableType]) -> None:
        """Show parts whose lines are to be kept as they are, however long."""
        for part in parts:
            self._out.print(part, soft_wrap=True)

    def say(self, *lines: str) -> None:
        """Plain lines on stdout."""
        if not self._quiet:
            for line in lines:
                self._out.print(line, soft_wrap=True)


def _silent(_: Event) -> None:
    """Hear nothing."""
