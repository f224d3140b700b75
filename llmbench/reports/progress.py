"""Progress of a run: a live display, or plain lines where there is no terminal."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from llmbench.events import (
    AttemptFinished,
    BudgetExhausted,
    Draining,
    Event,
    RequestStarted,
    RetryScheduled,
    TargetStopped,
)
from llmbench.records import Outcome, Row
from llmbench.texts import counted

PLAIN_SECONDS = 15.0
"""Shortest time between two plain lines of one target."""

WAIT_SECONDS = 5.0
"""Shortest wait before a retry that is worth a line."""


class _Tally:
    """Counts of one target so far."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.started = False
        self.outcomes: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self.printed_at = time.monotonic()
        self.silent_until = 0.0

    @property
    def done(self) -> int:
        return self.outcomes.total()

    def add(self, row: Row) -> None:
        (self.outcomes if row.round == 1 else self.repairs)[row.outcome] += 1

    def describe(self) -> str:
        repairs = _counts(self.repairs)
        return _counts(self.outcomes) + (f"; repairs: {repairs}" if repairs else "")

    def wait_line(self, event: RetryScheduled) -> str | None:
        """Return a line about a wait; None if it is short, or a line was printed just now."""
        now = time.monotonic()
        if event.seconds < WAIT_SECONDS or now < self.silent_until:
            return None
        self.silent_until = now + PLAIN_SECONDS
        wait = event.retry_after
        request = "" if wait is None else f" (the server asked for {wait:.0f} s)"
        return f"waiting {event.seconds:.0f} s{request}: {event.target}: {event.reason}"


def _counts(outcomes: Counter[str]) -> str:
    names = (f"{outcomes[name]} {name.replace('_', ' ')}" for name in Outcome if outcomes[name])
    return ", ".join(names)


class LiveProgress:
    """Shows a bar per target with rate, ETA and outcomes; a listener of a run's events."""

    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[outcomes]}", style="dim", markup=False),
            console=console,
            refresh_per_second=4,
            transient=True,
        )
        self._tallies = {target: _Tally(total) for target, total in totals.items()}
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        for target, tally in self._tallies.items():
            self._bars[target] = self._progress.add_task(
                target, total=tally.total, start=False, rate="", outcomes=""
            )
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Update the display for one event."""
        match event:
            case RequestStarted(key) if not self._tallies[key.target].started:
                self._tallies[key.target].started = True
                self._progress.start_task(self._bars[key.target])
            case AttemptFinished(row):
                tally, bar = self._tallies[row.target], self._bars[row.target]
                tally.add(row)
                elapsed = self._progress.tasks[bar].elapsed or 0
                rate = f"{tally.done / elapsed:.1f}/s" if elapsed else ""
                self._progress.update(
                    bar, completed=tally.done, rate=rate, outcomes=tally.describe()
                )
            case TargetStopped():
                self._progress.console.print(stopped_line(event), style="red")
            case RetryScheduled(target):
                if wait := self._tallies[target].wait_line(event):
                    self._progress.console.print(wait, style="yellow")
            case BudgetExhausted():
                self._progress.console.print(budget_line(event), style="yellow")
            case Draining(in_flight):
                self._progress.console.print(draining_line(in_flight), style="yellow")
            case _:
                pass


class PlainProgress:
    """Prints a line per target every few seconds, for files and pipes; a listener of events."""

    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self._console = console
        self._tallies = {target: _Tally(total) for target, total in totals.items()}

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


def stopped_line(event: TargetStopped) -> str:
    """Return the line that says why a target was stopped."""
    return f"stopped {event.target}: {event.reason}"


def budget_line(event: BudgetExhausted) -> str:
    """Return the line about the end of the budget."""
    return (
        f"{event.spent:.4f} $ of --max-cost {event.limit:g} are spent: no new requests, "
        "those in flight finish"
    )


def draining_line(in_flight: int) -> str:
    """Return the line about the first Ctrl-C."""
    if not in_flight:
        return "stopping: nothing new is started, and nothing is under way"
    return (
        "stopping: nothing new is started, "
        f"{counted(in_flight, 'attempt is', 'attempts are')} in flight; "
        "press Ctrl-C again to cancel them"
    )
