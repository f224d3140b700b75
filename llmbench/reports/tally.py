"""Counts of a run's progress, and the lines about what happens in it."""

import time
from collections import Counter

from llmbench.events import BudgetExhausted, RetryScheduled, TargetStopped
from llmbench.records import Outcome, Row
from llmbench.texts import counted

WAIT_SECONDS = 5.0
"""Shortest wait before a retry that is worth a line."""

SILENT_SECONDS = 15.0
"""Shortest time between two lines about waits of one target."""


class Tally:
    """Counts of one target so far."""

    def __init__(self, total: int) -> None:
        """Count up to `total` first answers."""
        self.total = total
        self.outcomes: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self.printed_at = time.monotonic()
        self.silent_until = 0.0

    @property
    def done(self) -> int:
        """Number of first answers with a verdict."""
        return self.outcomes.total()

    def add(self, row: Row) -> None:
        """Count the outcome of a row."""
        (self.outcomes if row.round == 1 else self.repairs)[row.outcome] += 1

    def describe(self) -> str:
        """Return the outcomes in words, those of repairs after the others."""
        repairs = _counts(self.repairs)
        return _counts(self.outcomes) + (f"; repairs: {repairs}" if repairs else "")

    def wait_line(self, event: RetryScheduled) -> str | None:
        """Return a line about a wait; None if it is short, or a line was printed just now."""
        now = time.monotonic()
        if event.seconds < WAIT_SECONDS or now < self.silent_until:
            return None
        self.silent_until = now + SILENT_SECONDS
        wait = event.retry_after
        request = "" if wait is None else f" (the server asked for {wait:.0f} s)"
        return f"waiting {event.seconds:.0f} s{request}: {event.target}: {event.reason}"


def _counts(outcomes: Counter[str]) -> str:
    names = (f"{outcomes[name]} {name.replace('_', ' ')}" for name in Outcome if outcomes[name])
    return ", ".join(names)


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
