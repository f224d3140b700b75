"""Turns: answers of a model on this machine and tests never run at once.

Tests take processor time, caches and memory bandwidth from such a model, whatever their priority,
and its speed would depend on them. Tests at a low priority would meet their time limits instead.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

QUIET_SECONDS = 0.05
"""After so long without an answer that streams, tests begin although few are due."""


class Turns:
    """Two parties that wait for each other: answers that stream, and tests.

    Answers go first until `batch` of them wait for their tests. Then all tests run. They also run
    while no answer streams for QUIET_SECONDS: at the end, or while a retry waits.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._answers = self._tests = self._untested = 0
        self._is_turn_of_tests = False
        self._changed = anyio.Event()

    def add_untested(self) -> None:
        """Count an answer that waits for its tests."""
        self._untested += 1
        if self._untested >= self._batch:
            self._is_turn_of_tests = True
            self._notify()

    def answering(
        self, slot: AbstractAsyncContextManager[object]
    ) -> AbstractAsyncContextManager[None]:
        """Return a slot that is entered in the turn of answers."""
        return _AnswerSlot(slot, self)

    @asynccontextmanager
    async def testing(self) -> AsyncIterator[None]:
        """Wait for the turn of tests, and be counted as one of them."""
        while not self._tests:
            await self._until(lambda: not self._answers)
            if self._is_turn_of_tests or self._tests:
                break
            await anyio.sleep(QUIET_SECONDS)
            if not self._answers:
                break
        self._tests += 1
        self._untested -= 1
        try:
            yield
        finally:
            self._tests -= 1
            if not self._tests and self._untested <= 0:
                self._is_turn_of_tests = False
            self._notify()

    async def begin_answer(self) -> None:
        """Wait for the turn of answers, and be counted as one of them."""
        await self._until(lambda: not self._tests and not self._is_turn_of_tests)
        self._answers += 1

    def end_answer(self) -> None:
        """End an answer that `begin_answer` has counted."""
        self._answers -= 1
        self._notify()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class _AnswerSlot(AbstractAsyncContextManager[None]):
    """A slot that is left again if the wait for the turn is cancelled."""

    def __init__(self, slot: AbstractAsyncContextManager[object], turns: Turns) -> None:
        self._slot = slot
        self._turns = turns

    async def __aenter__(self) -> None:
        await self._slot.__aenter__()
        try:
            await self._turns.begin_answer()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._slot.__aexit__(None, None, None)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._turns.end_answer()
        await self._slot.__aexit__(None, None, None)
