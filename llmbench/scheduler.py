"""Concurrency only: two stages joined by a bounded stream, slots, cancellation, drain.

Stage 1 asks and holds a model slot only while an answer streams. Stage 2 grades and holds a
sandbox slot only while tests run. Attempts come from an iterator and few wait between the stages,
so memory stays flat however many there are.

An attempt that grading returns goes back to stage 1 before anything new. Stage 2 never waits for
that, so full buffers cannot cause a deadlock. The requeued attempts are bounded too, because each
of them was in flight before.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream, TaskGroup

A = TypeVar("A")
B = TypeVar("B")

BETWEEN_STAGES = 1000
"""Maximum number of answers that wait for a sandbox. Beyond it the models wait too."""

WAITING_PER_SLOT = 4
"""Attempts in stage 1 per model slot, counting those whose retry waits without a slot."""

Ask = Callable[[A, AbstractAsyncContextManager[object]], Awaitable[B | None]]
Grade = Callable[[B], Awaitable[A | None]]


class Slot:
    """The model slot of one attempt. Each try enters it; only the first try enters at once."""

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._ready = True  # acquired on its behalf before the attempt began

    async def __aenter__(self) -> None:
        if self._ready:
            self._ready = False
        else:
            await self._limiter.acquire_on_behalf_of(self)

    async def __aexit__(self, *_: object) -> None:
        self._limiter.release_on_behalf_of(self)

    def give_back(self) -> None:
        """Free the slot if no try entered it."""
        if self._ready:
            self._ready = False
            self._limiter.release_on_behalf_of(self)


@dataclass(frozen=True, slots=True)
class Workload(Generic[A]):
    """Attempts that share `slots`, at most `max_concurrency` of them streaming at once.

    Groups run one after the other. The next begins when all answers of a group are in and, if
    `may_requeue`, graded: only then can grading return attempts.
    """

    groups: Iterable[Iterable[A]]
    slots: anyio.CapacityLimiter
    max_concurrency: int
    may_requeue: bool = True


class _Batch(Generic[A]):
    """The attempts of one group: new ones, requeued ones, and the number in flight.

    `admission` bounds the attempts in stage 1, with a slot or without.
    """

    def __init__(self, attempts: Iterable[A], workload: Workload[A]) -> None:
        self._new = iter(attempts)
        self._requeued: deque[A] = deque()
        self._completion = anyio.Event()
        self.slots = workload.slots
        self._may_requeue = workload.may_requeue
        self.admission = anyio.Semaphore(workload.max_concurrency * WAITING_PER_SLOT)
        self.in_flight = 0

    def next_attempt(self) -> A | None:
        """Return the next attempt, requeued ones first; None if there is none now."""
        attempt = self._requeued.popleft() if self._requeued else next(self._new, None)
        self.in_flight += attempt is not None
        return attempt

    @property
    def may_get_more(self) -> bool:
        """True if an attempt in flight may be requeued."""
        return self._may_requeue and self.in_flight > 0

    def complete(self, further: A | None) -> None:
        """Count one attempt as complete and requeue the attempt that follows it, if any."""
        self.in_flight -= 1
        if further is not None:
            self._requeued.append(further)
        self._completion.set()

    async def next_completion(self) -> None:
        """Wait until one more attempt is complete."""
        self._completion = anyio.Event()
        await self._completion.wait()


_Answers = ObjectSendStream[tuple[_Batch[A], B]]


class Scheduler(Generic[A, B]):
    """Runs attempts through `ask` and `grade` with bounded concurrency.

    `ask` returns None if there is nothing to grade. `grade` returns the attempt to make next, if
    any, and runs at most `max_sandboxes` times at once. An exception from either ends the run, so
    each handles the errors of a single attempt itself.
    """

    def __init__(self, ask: Ask[A, B], grade: Grade[B, A], *, max_sandboxes: int) -> None:
        self._ask = ask
        self._grade = grade
        self._max_sandboxes = max_sandboxes
        self.draining = False
        self.in_flight = 0

    def drain(self) -> None:
        """Start nothing new and finish the attempts in flight."""
        self.draining = True

    async def run(self, *workloads: Workload[A] | Sequence[Workload[A]]) -> None:
        """Run every attempt until complete, drained or cancelled.

        Workloads run side by side, those of a sequence one after the other.
        """
        answers, to_grade = anyio.create_memory_object_stream[tuple[_Batch[A], B]](BETWEEN_STAGES)
        async with anyio.create_task_group() as tasks:
            for _ in range(self._max_sandboxes):
                tasks.start_soon(self._grade_all, to_grade.clone())
            to_grade.close()
            async with answers, anyio.create_task_group() as askers:
                for each in workloads:
                    sequence = [each] if isinstance(each, Workload) else each
                    askers.start_soon(self._ask_all, sequence, answers)

    async def _ask_all(self, workloads: Sequence[Workload[A]], answers: _Answers[A, B]) -> None:
        for workload in workloads:
            for attempts in workload.groups:
                batch = _Batch(attempts, workload)
                async with anyio.create_task_group() as tasks:
                    while await self._ask_next(batch, tasks, answers):
                        pass

    async def _ask_next(self, batch: _Batch[A], tasks: TaskGroup, answers: _Answers[A, B]) -> bool:
        """Begin an attempt, or wait for one to be requeued; False if none will come."""
        await batch.admission.acquire()
        slot = Slot(batch.slots)
        await batch.slots.acquire_on_behalf_of(slot)
        # Only with a slot: a drain must not lose an attempt that has left the iterator.
        attempt = None if self.draining else batch.next_attempt()
        if attempt is not None:
            self.in_flight += 1
            tasks.start_soon(self._ask_one, batch, attempt, slot, answers)
            return True
        slot.give_back()
        batch.admission.release()
        if self.draining or not batch.may_get_more:
            return False
        await batch.next_completion()
        return True

    async def _ask_one(
        self, batch: _Batch[A], attempt: A, slot: Slot, answers: _Answers[A, B]
    ) -> None:
        try:
            answer = await self._ask(attempt, slot)
        finally:
            slot.give_back()
        if answer is None:
            self._complete(batch, None)
        else:
            await answers.send((batch, answer))
        batch.admission.release()

    async def _grade_all(self, to_grade: ObjectReceiveStream[tuple[_Batch[A], B]]) -> None:
        async with to_grade:
            async for batch, answer in to_grade:
                self._complete(batch, await self._grade(answer))

    def _complete(self, batch: _Batch[A], further: A | None) -> None:
        self.in_flight -= 1
        batch.complete(further)
