"""Progress of a run as plain lines, for files, pipes and terminals that cannot move the cursor."""

import time
from collections.abc import Callable, Mapping
from typing import Self

from rich.console import Console

from llmbench.events import (
    AttemptFinished,
    BudgetExhausted,
    Draining,
    Event,
    RetryScheduled,
    TargetStopped,
)
from llmbench.reports.tally import Tally, budget_line, draining_line, stopped_line

PLAIN_SECONDS = 15.0
"""Shortest time between two plain lines of one target."""


class PlainProgress:
    """Prints a line per target every few seconds, for files and pipes; a listener of events."""

    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self._console = console
        self._tallies = {target: Tally(total) for target, total in totals.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, event: Event) -> None:
        """Print a line for one event, if it is due."""
        match event:
            case AttemptFinished(row):
                tally = self._tallies[row.target]
                tally.add(row)
                now = time.monotonic()
                whole = tally.done == tally.total and row.round == 1
                if whole or now - tally.printed_at >= PLAIN_SECONDS:
                    tally.printed_at = now
                    line = f"{row.target}: {tally.done}/{tally.total} ({tally.describe()})"
                    self._console.print(line, soft_wrap=True)
            case TargetStopped():
                self._console.print(stopped_line(event), soft_wrap=True)
            case RetryScheduled(target):
                if wait := self._tallies[target].wait_line(event):
                    self._console.print(wait, soft_wrap=True)
            case BudgetExhausted():
                self._console.print(budget_line(event), soft_wrap=True)
            case Draining(in_flight):
                self._console.print(draining_line(in_flight), soft_wrap=True)
            case _:
                pass


class QuietProgress:
    """Passes on the events after which attempts have no row or no score; listens to a run."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn

    def __call__(self, event: Event) -> None:
        """Handle one event."""
        match event:
            case TargetStopped():
                self._warn(stopped_line(event))
            case BudgetExhausted():
                self._warn(budget_line(event))
            case _:
                pass
