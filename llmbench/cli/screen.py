"""What people see of a run: notes and progress on stderr, the summary on stdout."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from rich.console import Console

from llmbench.config import Plan
from llmbench.events import Event, Listener
from llmbench.reports.progress import LiveProgress, PlainProgress
from llmbench.reports.summary import summary

PLAIN_WIDTH = 120
"""Width of the tables where there is no terminal to measure."""


class Screen:
    """Two consoles; a quiet one keeps warnings and drops the rest."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._err = Console(stderr=True, highlight=False, markup=False)
        self._out = Console(highlight=False, markup=False)
        if not self._out.is_terminal:
            self._out.width = PLAIN_WIDTH

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
        totals = Counter({target.label: plan.size // len(plan.targets) for target in plan.targets})
        self.note(
            f"{plan.size} attempts: {len(plan.targets)} targets × {len(plan.problems)} problems "
            f"× {plan.runs} runs"
            + ("; recorded answers are replayed, no model is asked" if plan.recorded else "")
        )
        if self._quiet:
            yield _silent
        elif self._err.is_terminal:
            with LiveProgress(self._err, totals) as live:
                yield live
        else:
            with PlainProgress(self._err, totals) as plain:
                yield plain

    def results(self, table: pl.DataFrame, written: Sequence[Path], work: Path) -> None:
        """The summary, and where the files are."""
        if self._quiet:
            return
        for part in summary(table):
            self._out.print(part)
            self._out.print()
        for path in written:
            self._out.print(f"rows: {path}", soft_wrap=True)
        self._out.print(f"answers, code and logs: {work}", soft_wrap=True)


def _silent(_: Event) -> None:
    """Hear nothing."""
