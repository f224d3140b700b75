"""The events of a run, for listeners such as the progress display."""

from collections.abc import Callable
from dataclasses import dataclass

from llmbench.completions import Completion
from llmbench.records import AttemptKey, Row


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """A request for this attempt is about to be sent."""

    key: AttemptKey


@dataclass(frozen=True, slots=True)
class CompletionReceived:
    """A complete answer has arrived."""

    key: AttemptKey
    completion: Completion


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """An attempt has ended, and its row is written."""

    row: Row


@dataclass(frozen=True, slots=True)
class TargetStopped:
    """No further request is sent to a target; `reason` is one line without the target's name."""

    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class BudgetExhausted:
    """The answers have cost `spent` USD, at least `limit`: no more requests are sent."""

    spent: float
    limit: float


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A request to a target failed and is sent again after `seconds`.

    `retry_after` is the wait in seconds that the server requested, or None. `reason` is one line
    without the target's name.
    """

    target: str
    seconds: float
    retry_after: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Draining:
    """The run starts no more attempts and finishes those in flight."""

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
    """Ignore an event, or a warning: the listener that does nothing."""
