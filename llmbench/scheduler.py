"""Concurrency only: two stages joined by a bounded stream, slots, cancellation, drain.

Stage 1 asks and holds a model slot only while an answer streams; stage 2 grades and holds a
sandbox slot only while tests run. Attempts come from an iterator and at most a few wait between
the stages, so memory stays flat however many there are. What grading finds to be asked again goes
back to stage 1 before anything new: stage 2 never waits for that, so full buffers block nobody, and
what waits there has been in flight before, so it is bounded too.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskGroup

A = TypeVar("A")
B = TypeVar("B")

BETWEEN_STAGES = 1000
"""Most answers that wait for a sandbox: beyond it the models wait too."""

WAITING_PER_SLOT = 4
"""Attempts in stage 1 per model slot, counting those whose retry waits without a slot."""

Ask = Callable[[A, AbstractAsyncContextManager[object]], Awaitable[B | None]]
Grade = Callable[[B], Awaitable[A | None]]


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
class Workload(Generic[A]):
    """Attempts that share `slots`: as many of them stream at once, and never more than `most`.

    They come in groups, one after the other: the next begins when all of a group are answered and,
    where grading may bring attempts back, graded.
    """

    groups: Iterable[Iterable[A]]
    slots: anyio.CapacityLimiter
    most: int
    bring_back: bool = True


class _Batch(Generic[A]):
    """Attempts to take, those that came back first; `in_flight` are taken and not at their end.

    `places` bounds those in stage 1, with a slot or without.
    """

    def __init__(self, attempts: Iterable[A], share: Workload[A]) -> None:
        self._new = iter(attempts)
        self._back: deque[A] = deque()
        self._ended = anyio.Event()
        self.slots = share.slots
        self._bring_back = share.bring_back
        self.places = anyio.Semaphore(share.most * WAITING_PER_SLOT)
        self.in_flight = 0

    def take(self) -> A | None:
        """The next attempt; None where there is none now."""
        attempt = self._back.popleft() if self._back else next(self._new, None)
        self.in_flight += attempt is not None
        return attempt

    @property
    def may_go_on(self) -> bool:
        """True when one in flight may come back."""
        return self._bring_back and self.in_flight > 0

    def end(self, further: A | None) -> None:
        """One is at its end; `further` comes back in its place."""
        self.in_flight -= 1
        if further is not None:
            self._back.append(further)
        self._ended.set()

    async def one_more_end(self) -> None:
        """Wait until one more is at its end."""
        self._ended = anyio.Event()
        await self._ended.wait()


_Sending = ObjectSendStream[tuple[_Batch[A], B]]


class Scheduler(Generic[A, B]):
    """Runs attempts through `ask` and `grade`, so many at once and no more.

    `ask` returns None when there is nothing to grade, `grade` the attempt to make further, if any.
    An exception from either ends the run: faults of a single attempt are theirs to handle.
    """

    def __init__(self, ask: Ask[A, B], grade: Grade[B, A], *, sandboxes: int) -> None:
        self._ask = ask
        self._grade = grade
        self._sandboxes = sandboxes
        self.draining = False
        self.in_flight = 0

    def drain(self) -> None:
        """Start nothing new; what is in flight goes on to its end."""
        self.draining = True

    async def run(self, *shares: Workload[A]) -> None:
        """Run every attempt to its end, or until drained or cancelled; shares side by side."""
        answered, to_grade = anyio.create_memory_object_stream[tuple[_Batch[A], B]](BETWEEN_STAGES)
        async with anyio.create_task_group() as tasks:
            for _ in range(self._sandboxes):
                tasks.start_soon(self._grade_all, to_grade.clone())
            to_grade.close()
            async with answered, anyio.create_task_group() as asking:
                for share in shares:
                    asking.start_soon(self._ask_all, share, answered)

    async def _ask_all(self, share: Workload[A], answered: _Sending[A, B]) -> None:
        for attempts in share.groups:
            group = _Batch(attempts, share)
            async with anyio.create_task_group() as tasks:
                while await self._ask_next(group, tasks, answered):
                    pass

    async def _ask_next(self, group: _Batch[A], tasks: TaskGroup, answered: _Sending[A, B]) -> bool:
        """Begin an attempt, or wait for what may bring one; False when none will come."""
        await group.places.acquire()
        slot = Slot(group.slots)
        await group.slots.acquire_on_behalf_of(slot)
        # Only now: an attempt that a drain leaves out has not been taken.
        attempt = None if self.draining else group.take()
        if attempt is not None:
            self.in_flight += 1
            tasks.start_soon(self._ask_one, group, attempt, slot, answered)
            return True
        slot.give_back()
        group.places.release()
        if self.draining or not group.may_go_on:
            return False
        await group.one_more_end()
        return True

    async def _ask_one(
        self, group: _Batch[A], attempt: A, slot: Slot, answered: _Sending[A, B]
    ) -> None:
        try:
            answer = await self._ask(attempt, slot)
        finally:
            slot.give_back()
        if answer is None:
            self._end(group, None)
        else:
            await answered.send((group, answer))
        group.places.release()

    async def _grade_all(self, to_grade: ObjectReceiveStream[tuple[_Batch[A], B]]) -> None:
        async with to_grade:
            async for group, answer in to_grade:
                self._end(group, await self._grade(answer))

    def _end(self, group: _Batch[A], further: A | None) -> None:
        self.in_flight -= 1
        group.end(further)
