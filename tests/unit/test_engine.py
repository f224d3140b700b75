"""The two stages: bounds, order, drain, failure, cancellation."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.lowlevel
import pytest

from llmbench.engine import BETWEEN_STAGES, WAITING_PER_SLOT, Engine, Share

pytestmark = pytest.mark.anyio

SlotT = AbstractAsyncContextManager[object]


def share(attempts: int, slots: int) -> Share[int]:
    return Share([range(attempts)], anyio.CapacityLimiter(slots), slots)


class Gauge:
    """Counts who is inside, and remembers the most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def __enter__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


async def test_every_attempt_is_asked_once_and_graded_once() -> None:
    asked: list[int] = []
    graded: list[int] = []

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            asked.append(attempt)
            await anyio.lowlevel.checkpoint()
        return attempt

    async def grade(answer: int) -> None:
        await anyio.lowlevel.checkpoint()
        graded.append(answer)

    engine = Engine(ask, grade, sandboxes=2)
    await engine.run(share(500, 3))
    assert sorted(asked) == sorted(graded) == list(range(500))
    assert engine.in_flight == 0


async def test_no_more_than_the_slots_stream_or_test_at_once() -> None:
    streaming, testing = Gauge(), Gauge()

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            with streaming:
                await anyio.sleep(0.001)
        return attempt

    async def grade(_: int) -> None:
        with testing:
            await anyio.sleep(0.001)

    await Engine(ask, grade, sandboxes=2).run(share(60, 5))
    assert (streaming.most, testing.most) == (5, 2)


async def test_a_slot_is_free_while_a_retry_waits() -> None:
    waiting = anyio.Event()
    others: list[int] = []

    async def ask(attempt: int, slot: SlotT) -> None:
        if attempt == 0:
            async with slot:
                pass
            await waiting.wait()
        async with slot:
            others.append(attempt)
            if len(others) == 3:
                waiting.set()

    async def grade(_: object) -> None:
        raise AssertionError("there is nothing to grade")

    with anyio.fail_after(5):
        await Engine(ask, grade, sandboxes=1).run(share(4, 1))
    assert others == [1, 2, 3, 0]


async def test_attempts_whose_retries_wait_are_bounded_too() -> None:
    begun = 0
    release = anyio.Event()

    async def ask(_: int, slot: SlotT) -> None:
        nonlocal begun
        begun += 1
        async with slot:
            pass
        await release.wait()

    async def grade(_: object) -> None: ...

    async with anyio.create_task_group() as tasks:
        engine = Engine(ask, grade, sandboxes=1)
        tasks.start_soon(engine.run, share(1000, 2))
        await anyio.wait_all_tasks_blocked()
        assert begun == 2 * WAITING_PER_SLOT
        release.set()
    assert begun == 1000


async def test_attempts_are_taken_only_when_they_can_begin() -> None:
    taken = 0
    release = anyio.Event()

    def attempts() -> Iterator[int]:
        nonlocal taken
        for number in range(10**9):
            taken += 1
            yield number

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            return attempt

    async def grade(_: int) -> None:
        await release.wait()

    async with anyio.create_task_group() as tasks:
        engine = Engine(ask, grade, sandboxes=1)
        tasks.start_soon(engine.run, Share([attempts()], anyio.CapacityLimiter(4), 4))
        await anyio.wait_all_tasks_blocked()
        assert taken <= BETWEEN_STAGES + 4 * WAITING_PER_SLOT + 2
        engine.drain()
        release.set()
    assert engine.in_flight == 0


async def test_a_drain_finishes_what_is_in_flight_and_starts_nothing_new() -> None:
    asked: list[int] = []
    graded: list[int] = []
    release = anyio.Event()

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            asked.append(attempt)
            await release.wait()
        return attempt

    async def grade(answer: int) -> None:
        graded.append(answer)

    async with anyio.create_task_group() as tasks:
        engine = Engine(ask, grade, sandboxes=1)
        tasks.start_soon(engine.run, share(100, 3))
        await anyio.wait_all_tasks_blocked()
        engine.drain()
        assert engine.in_flight == 3
        release.set()
    assert asked == graded == [0, 1, 2]


async def test_a_failure_of_a_stage_ends_the_run_and_is_raised() -> None:
    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            return attempt

    async def grade(answer: int) -> None:
        if answer == 7:
            raise OSError("disk full")

    with pytest.raises(ExceptionGroup) as raised:
        await Engine(ask, grade, sandboxes=2).run(share(100, 2))
    assert raised.value.subgroup(OSError) is not None


async def test_cancelling_a_run_leaves_no_slot_taken() -> None:
    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            await anyio.sleep_forever()
        return attempt

    async def grade(_: int) -> None: ...

    held = share(100, 3)
    with anyio.move_on_after(0.05):
        await Engine(ask, grade, sandboxes=1).run(held)
    assert held.slots.borrowed_tokens == 0


async def test_a_server_that_is_slow_or_waited_for_holds_up_no_other() -> None:
    done: list[int] = []

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            if attempt < 10:
                await anyio.sleep_forever()
        return attempt

    async def grade(answer: int) -> None:
        done.append(answer)

    slow = Share([range(10)], anyio.CapacityLimiter(2), 2)
    quick = Share([range(10, 60)], anyio.CapacityLimiter(1), 1)
    with anyio.move_on_after(0.5):
        await Engine(ask, grade, sandboxes=1).run(slow, quick)
    assert done == list(range(10, 60))
