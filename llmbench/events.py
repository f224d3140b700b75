"""Events of a run, for listeners such as the progress display."""

from collections.abc import Callable
from dataclasses import dataclass

from llmbench.records import AttemptKey, Completion, Row


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """A request for this attempt is about to be made."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class CompletionReceived:
    """A whole answer is in."""

    key: AttemptKey
    completion: Completion


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """An attempt has ended in its row."""

    row: Row


@dataclass(frozen=True, slots=True)
class TargetStopped:
    """No further request is sent to a target; `reason` is one line without the target's name."""

    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """The answers so far cost `spent` of at most `limit` USD: nothing more is asked."""

    spent: float
    limit: float


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A request to a target failed and is sent again after `seconds`.

    `asked` is the wait in seconds that the server requested, or None; `reason` is one line without
    the target's name.
    """

    target: str
    seconds: float
    asked: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Draining:
    """Nothing new is started; what is in flight goes on."""

    in_flight: int


Event = (
    RequestStarted
    | CompletionReceived
    | AttemptFinished
    | TargetStopped
    | BudgetExhausted
    | RetryScheduled
    | Draining
)
Listener = Callable[[Event], None]


def ignore(_: object) -> None:
    """A listener that does nothing."""
