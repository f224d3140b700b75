"""A model that never answers, for runs that only grade existing answers."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from llmbench.completions import Completion
from llmbench.errors import AttemptError
from llmbench.records import Message, Target


class NoModel:
    """A target without a server: every attempt that has no answer yet fails."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.unsupported_params: Mapping[str, str | None] = {}
        self.limit_notes: Iterable[str] = ()

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """Refuse to answer.

        Raises:
            AttemptError: Always.
        """
        raise AttemptError("the model gave no answer in the run, and grading sends no requests")

    def drain(self) -> int:
        """Return 0: no request ever waits here."""
        return 0
