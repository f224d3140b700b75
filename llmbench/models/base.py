"""The interface of a model, whatever protocol is behind it."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from llmbench.completions import Completion
from llmbench.records import Message, Target


class Model(Protocol):
    """One target, ready to answer."""

    target: Target

    @property
    def unsupported_params(self) -> Mapping[str, str | None]:
        """Parameters that the server refused so far, with their replacements (None: left out)."""
        ...

    @property
    def limit_notes(self) -> Iterable[str]:
        """Notes for people on how the limits of the server slowed the run, a line each."""
        ...

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """Return the whole answer to a prompt, after retries if need be.

        `slot` is entered for each try and left while a retry waits, so it must be reusable. `run`
        (1..N) tells the runs of one problem apart.

        Raises:
            TransientError: Every try failed, and a later one may succeed.
            AttemptError: This prompt cannot be answered.
            TargetError: This target cannot answer any prompt.
            CancelledBeforeSendError: The model was drained before the request was sent.
        """
        ...

    def drain(self) -> int:
        """Send no further request; return the number of requests that are cancelled by this.

        Requests that are already sent continue to their end.
        """
        ...
