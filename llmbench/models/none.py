"""Stands in the place of a model where answers are given and nobody is asked."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from llmbench.errors import AttemptError
from llmbench.records import Completion, Message, Target


class NoModel:
    """A target that cannot be asked: what it has not answered, it does not answer."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.unsupported_params: Mapping[str, str | None] = {}
        self.limit_notes: Iterable[str] = ()

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """Refuse.

        Raises:
            AttemptError: always.
        """
        raise AttemptError("no answer was given when the model was asked, and nobody is asked now")

    def drain(self) -> int:
        """Nobody waits here."""
        return 0
