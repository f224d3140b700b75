"""What a run shows while it goes on: a live display, or plain lines where there is no terminal."""

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

PLAIN_SECONDS = 15.0
"""Least time between two plain lines of one target."""


WAIT_SECONDS = 5.0
"""Shorter waits before a request is made again are not worth a line."""


class _Tally:
    """What is known of one target so far."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.asked = 0
        self.outcomes: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self.shown_at = time.monotonic()
        self.silent_until = 0.0

    @property
    def done(self) -> int:
        return self.outcomes.total()

    def hear(self, row: Row) -> None:
        (self.outcomes if row.round == 1 else self.repairs)[row.outcome] += 1

    def words(self) -> str:
        repairs = _counted(self.repairs)
        return _counted(self.outcomes) + (f"; repairs: {repairs}" if repairs else "")

    def waiting(self, event: RetryScheduled) -> str | None:
        """A line about a wait; None where it is short, or others wait as was said just now."""
        now = time.monotonic()
        if event.seconds < WAIT_SECONDS or now < self.silent_until:
            return None
        self.silent_until = now + PLAIN_SECONDS
        asked = (
            ""
            if event.retry_after is None
            else f" (the server asked for {event.retry_after:.0f} s)"
        )
        return f"waiting {event.seconds:.0f} s{asked}: {event.target}: {event.reason}"


def _counted(outcomes: Counter[str]) -> str:
    names = (f"{outcomes[name]} {name.replace('_', ' ')}" for name in Outcome if outcomes[name])
    return ", ".join(names)


class LiveProgress:
    """A bar per target with rate, ETA and outcomes; listens to a run's events."""

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
            TextColumn("{task.fields[words]}", style="dim", markup=False),
            console=console,
            refresh_per_second=4,
            transient=True,
        )
        self._tallies = {target: _Tally(total) for target, total in totals.items()}
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        for target, tally in self._tallies.items():
            self._bars[target] = self._progress.add_task(
                target, total=tally.total, start=False, rate="", words=""
            )
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Hear one event."""
        match event:
            case RequestStarted(key) if not self._tallies[key.target].asked:
                self._tallies[key.target].asked = 1
                self._progress.start_task(self._bars[key.target])
            case AttemptFinished(row):
                tally, bar = self._tallies[row.target], self._bars[row.target]
                tally.hear(row)
                elapsed = self._progress.tasks[bar].elapsed or 0
                rate = f"{tally.done / elapsed:.1f}/s" if elapsed else ""
                self._progress.update(bar, completed=tally.done, rate=rate, words=tally.words())
            case TargetStopped():
                self._progress.console.print(stopped_words(event), style="red")
            case RetryScheduled(target):
                if said := self._tallies[target].waiting(event):
                    self._progress.console.print(said, style="yellow")
            case BudgetExhausted():
                self._progress.console.print(budget_words(event), style="yellow")
            case Draining(in_flight):
                self._progress.console.print(draining_words(in_flight), style="yellow")
            case _:
                pass


class PlainProgress:
    """A line per target every few seconds, for files and pipes; listens to a run's events."""

    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self._console = console
        self._tallies = {target: _Tally(total) for target, total in totals.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, event: Event) -> None:
        """Hear one event."""
        match event:
            case AttemptFinished(row):
                tally = self._tallies[row.target]
                tally.hear(row)
                now = time.monotonic()
                whole = tally.done == tally.total and row.round == 1
                if whole or now - tally.shown_at >= PLAIN_SECONDS:
                    tally.shown_at = now
                    line = f"{row.target}: {tally.done}/{tally.total} ({tally.words()})"
                    self._console.print(line, soft_wrap=True)
            case TargetStopped():
                self._console.print(stopped_words(event), soft_wrap=True)
            case RetryScheduled(target):
                if said := self._tallies[target].waiting(event):
                    self._console.print(said, soft_wrap=True)
            case BudgetExhausted():
                self._console.print(budget_words(event), soft_wrap=True)
            case Draining(in_flight):
                self._console.print(draining_words(in_flight), soft_wrap=True)
            case _:
                pass


class QuietProgress:
    """Passes on the events after which attempts have no row or no score; listens to a run."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn

    def __call__(self, event: Event) -> None:
        """Hear one event."""
        match event:
            case TargetStopped():
                self._warn(stopped_words(event))
            case BudgetExhausted():
                self._warn(budget_words(event))
            case _:
                pass


def stopped_words(event: TargetStopped) -> str:
    """The line that says why a target was stopped."""
    return f"stopped {event.target}: {event.reason}"


def budget_words(event: BudgetExhausted) -> str:
    """What the end of the budget says."""
    return (
        f"{event.spent:.4f} $ of --max-cost {event.limit:g} are spent: nothing new is asked, "
        "what is in flight is finished"
    )


def draining_words(in_flight: int) -> str:
    """What the first Ctrl-C says."""
    if not in_flight:
        return "stopping: nothing new is started, and nothing is under way"
    return (
        f"stopping: nothing new is started, {in_flight} attempts are finished; "
        "press Ctrl-C again to give them up"
    )
