"""What the engine asks of a model, whatever stands behind it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from llmbench.records import Completion, Message, Target


class Model(Protocol):
    """One target, ready to be asked."""

    target: Target

    @property
    def unsupported_params(self) -> Mapping[str, str | None]:
        """Parameters that the server refused so far, and what is sent instead (None: nothing)."""
        ...

    @property
    def limit_notes(self) -> Iterable[str]:
        """What its server's limits did to the run, in lines for people."""
        ...

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """Ask once more, retrying what is worth it, and return the whole answer.

        `slot` is entered for each try while its answer streams and left while a retry waits; it
        is reusable. `run` (1..N) tells the runs of one problem apart.

        Raises:
            TransientError: every try met a passing fault.
            AttemptError: this prompt cannot be answered.
            TargetError: this target is of no further use.
            NotAskedError: it was to be drained before this was asked, or asked again.
        """
        ...

    def drain(self) -> int:
        """Send no further request, and send away what waits to send one: returns how many.

        What is under way goes on to its end.
        """
        ...
