"""Concurrency only: two stages joined by a bounded stream, slots, cancellation, drain.

Stage 1 asks and holds a model slot only while an answer streams; stage 2 grades and holds a
sandbox slot only while tests run. Attempts come from an iterator and at most a few wait between
the stages, so memory stays flat however many there are.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream

A = TypeVar("A")
B = TypeVar("B")

BETWEEN_STAGES = 1000
"""Most answers that wait for a sandbox: beyond it the models wait too."""

WAITING_PER_SLOT = 4
"""Attempts in stage 1 per model slot, counting those whose retry waits without a slot."""

Ask = Callable[[A, AbstractAsyncContextManager[object]], Awaitable[B | None]]
Grade = Callable[[B], Awaitable[None]]


class Slot:
    """One attempt's claim on a model slot: entered for each try, the first time without a wait."""

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._ready = True  # acquired in its name before the attempt began

    async def __aenter__(self) -> None:
        if self._ready:
            self._ready = False
        else:
            await self._limiter.acquire_on_behalf_of(self)

    async def __aexit__(self, *_: object) -> None:
        self._limiter.release_on_behalf_of(self)

    def give_back(self) -> None:
        """Free the slot if no try was made with it."""
        if self._ready:
            self._ready = False
            self._limiter.release_on_behalf_of(self)


@dataclass(frozen=True, slots=True)
class Share(Generic[A]):
    """Attempts that share `slots`: as many of them stream at once, and never more than `most`."""

    attempts: Iterable[A]
    slots: anyio.CapacityLimiter
    most: int


class Engine(Generic[A, B]):
    """Runs attempts through `ask` and `grade`, so many at once and no more.

    `ask` returns None when there is nothing to grade. An exception from either ends the run:
    faults of a single attempt are theirs to handle.
    """

    def __init__(self, ask: Ask[A, B], grade: Grade[B], *, sandboxes: int) -> None:
        self._ask = ask
        self._grade = grade
        self._sandboxes = sandboxes
        self.draining = False
        self.in_flight = 0

    def drain(self) -> None:
        """Start nothing new; what is in flight goes on to its end."""
        self.draining = True

    async def run(self, *shares: Share[A]) -> None:
        """Run every attempt to its end, or until drained or cancelled; shares side by side."""
        answered, to_grade = anyio.create_memory_object_stream[B](BETWEEN_STAGES)
        async with anyio.create_task_group() as tasks:
            for _ in range(self._sandboxes):
                tasks.start_soon(self._grade_all, to_grade.clone())
            to_grade.close()
            async with answered, anyio.create_task_group() as asking:
                for share in shares:
                    asking.start_soon(self._ask_all, share, answered)

    async def _ask_all(self, share: Share[A], answered: ObjectSendStream[B]) -> None:
        attempts, slots = iter(share.attempts), share.slots
        places = anyio.Semaphore(share.most * WAITING_PER_SLOT)
        async with anyio.create_task_group() as tasks:
            while True:
                await places.acquire()
                slot = Slot(slots)
                await slots.acquire_on_behalf_of(slot)
                # Only now: an attempt that a drain leaves out has not been taken.
                attempt = None if self.draining else next(attempts, None)
                if attempt is None:
                    slot.give_back()
                    return
                self.in_flight += 1
                tasks.start_soon(self._ask_one, attempt, slot, places, answered)

    async def _ask_one(
        self, attempt: A, slot: Slot, places: anyio.Semaphore, answered: ObjectSendStream[B]
    ) -> None:
        try:
            answer = await self._ask(attempt, slot)
        finally:
            slot.give_back()
        if answer is None:
            self.in_flight -= 1
        else:
            await answered.send(answer)
        places.release()

    async def _grade_all(self, to_grade: ObjectReceiveStream[B]) -> None:
        async with to_grade:
            async for answer in to_grade:
                await self._grade(answer)
                self.in_flight -= 1
