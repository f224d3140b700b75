"""The two stages: bounds, order, drain, failure, cancellation."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.lowlevel
import pytest

from llmbench import scheduler as scheduler_module
from llmbench.scheduler import BETWEEN_STAGES, WAITING_PER_SLOT, Scheduler, Workload

pytestmark = pytest.mark.anyio

SlotT = AbstractAsyncContextManager[object]


def workload(attempts: int, slots: int) -> Workload[int]:
    return Workload([range(attempts)], anyio.CapacityLimiter(slots), slots)


class Gauge:
    """Counts the tasks inside it and remembers the maximum."""

    def __init__(self) -> None:
        self.now = self.max = 0

    def __enter__(self) -> None:
        self.now += 1
        self.max = max(self.max, self.now)

    def __exit__(self, *_: object) -> None:
        self.now -= 1


async def test_every_attempt_is_asked_and_graded_once() -> None:
    requested: list[int] = []
    graded: list[int] = []

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            requested.append(attempt)
            await anyio.lowlevel.checkpoint()
        return attempt

    async def grade(answer: int) -> None:
        await anyio.lowlevel.checkpoint()
        graded.append(answer)

    scheduler = Scheduler(ask, grade, max_sandboxes=2)
    await scheduler.run(workload(500, 3))
    assert sorted(requested) == sorted(graded) == list(range(500))
    assert scheduler.in_flight == 0


async def test_slots_bound_the_answers_and_tests_that_run_at_once() -> None:
    streaming, testing = Gauge(), Gauge()

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            with streaming:
                await anyio.sleep(0.001)
        return attempt

    async def grade(_: int) -> None:
        with testing:
            await anyio.sleep(0.001)

    await Scheduler(ask, grade, max_sandboxes=2).run(workload(60, 5))
    assert (streaming.max, testing.max) == (5, 2)


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
        await Scheduler(ask, grade, max_sandboxes=1).run(workload(4, 1))
    assert others == [1, 2, 3, 0]


async def test_attempts_that_wait_for_a_retry_are_bounded() -> None:
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
        scheduler = Scheduler(ask, grade, max_sandboxes=1)
        tasks.start_soon(scheduler.run, workload(1000, 2))
        await anyio.wait_all_tasks_blocked()
        assert begun == 2 * WAITING_PER_SLOT
        release.set()
    assert begun == 1000


async def test_an_attempt_leaves_the_iterator_only_when_it_can_begin() -> None:
    started = 0
    release = anyio.Event()

    def attempts() -> Iterator[int]:
        nonlocal started
        for number in range(10**9):
            started += 1
            yield number

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            return attempt

    async def grade(_: int) -> None:
        await release.wait()

    async with anyio.create_task_group() as tasks:
        scheduler = Scheduler(ask, grade, max_sandboxes=1)
        tasks.start_soon(scheduler.run, Workload([attempts()], anyio.CapacityLimiter(4), 4))
        await anyio.wait_all_tasks_blocked()
        assert started <= BETWEEN_STAGES + 4 * WAITING_PER_SLOT + 2
        scheduler.drain()
        release.set()
    assert scheduler.in_flight == 0


async def test_a_drain_finishes_the_attempts_in_flight_and_starts_no_more() -> None:
    requested: list[int] = []
    graded: list[int] = []
    release = anyio.Event()

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            requested.append(attempt)
            await release.wait()
        return attempt

    async def grade(answer: int) -> None:
        graded.append(answer)

    async with anyio.create_task_group() as tasks:
        scheduler = Scheduler(ask, grade, max_sandboxes=1)
        tasks.start_soon(scheduler.run, workload(100, 3))
        await anyio.wait_all_tasks_blocked()
        scheduler.drain()
        assert scheduler.in_flight == 3
        release.set()
    assert requested == graded == [0, 1, 2]


async def test_an_exception_in_a_stage_ends_the_run_and_is_raised() -> None:
    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            return attempt

    async def grade(answer: int) -> None:
        if answer == 7:
            raise OSError("disk full")

    with pytest.raises(ExceptionGroup) as raised:
        await Scheduler(ask, grade, max_sandboxes=2).run(workload(100, 2))
    assert raised.value.subgroup(OSError) is not None


async def test_a_cancelled_run_releases_all_slots() -> None:
    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            await anyio.sleep_forever()
        return attempt

    async def grade(_: int) -> None: ...

    cancelled = workload(100, 3)
    with anyio.move_on_after(0.05):
        await Scheduler(ask, grade, max_sandboxes=1).run(cancelled)
    assert cancelled.slots.borrowed_tokens == 0


async def test_a_slow_server_does_not_delay_another() -> None:
    done: list[int] = []

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            if attempt < 10:
                await anyio.sleep_forever()
        return attempt

    async def grade(answer: int) -> None:
        done.append(answer)

    slow = Workload([range(10)], anyio.CapacityLimiter(2), 2)
    quick = Workload([range(10, 60)], anyio.CapacityLimiter(1), 1)
    with anyio.move_on_after(0.5):
        await Scheduler(ask, grade, max_sandboxes=1).run(slow, quick)
    assert done == list(range(10, 60))


class Rounds:
    """Asks and grades (number, round); each number is requeued until its last round."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.requested: list[tuple[int, int]] = []
        self.graded: list[tuple[int, int]] = []

    async def ask(self, attempt: tuple[int, int], slot: SlotT) -> tuple[int, int]:
        async with slot:
            self.requested.append(attempt)
            await anyio.lowlevel.checkpoint()
        return attempt

    async def grade(self, answer: tuple[int, int]) -> tuple[int, int] | None:
        await anyio.sleep(0.001)  # long enough for stage 1 to run out of attempts
        self.graded.append(answer)
        number, round_ = answer
        return (number, round_ + 1) if round_ < self.rounds else None

    @staticmethod
    def firsts(*numbers: int) -> Iterator[tuple[int, int]]:
        return ((number, 1) for number in numbers)


@pytest.mark.parametrize("slots", [1, 3])
async def test_requeued_attempts_are_asked_even_if_every_stage_is_full(
    slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler_module, "BETWEEN_STAGES", 0)
    monkeypatch.setattr(scheduler_module, "WAITING_PER_SLOT", 1)
    rounds = Rounds(4)
    limiter = anyio.CapacityLimiter(slots)
    scheduler = Scheduler(rounds.ask, rounds.grade, max_sandboxes=1)
    with anyio.fail_after(30):
        await scheduler.run(Workload([rounds.firsts(*range(50))], limiter, slots))
    every = [(number, round_) for number in range(50) for round_ in range(1, 5)]
    assert sorted(rounds.requested) == sorted(rounds.graded) == every
    assert (scheduler.in_flight, limiter.borrowed_tokens) == (0, 0)


async def test_requeued_attempts_come_before_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler_module, "BETWEEN_STAGES", 0)
    rounds = Rounds(3)
    with anyio.fail_after(30):
        scheduler = Scheduler(rounds.ask, rounds.grade, max_sandboxes=1)
        await scheduler.run(Workload([rounds.firsts(*range(200))], anyio.CapacityLimiter(1), 1))
    begun, ended = 0, 0
    for _, round_ in rounds.requested:
        begun += round_ == 1
        ended += round_ == 3
        assert begun - ended <= WAITING_PER_SLOT + 1  # in stage 1 and in stage 2


async def test_an_attempt_between_two_rounds_holds_no_slot() -> None:
    limiter = anyio.CapacityLimiter(1)
    free: list[int] = []

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            return attempt

    async def grade(answer: int) -> int | None:
        await anyio.wait_all_tasks_blocked()
        free.append(limiter.borrowed_tokens)
        return answer - 1 if answer else None

    with anyio.fail_after(30):
        await Scheduler(ask, grade, max_sandboxes=1).run(Workload([[2]], limiter, 1))
    assert free == [0, 0, 0]


async def test_repairs_do_not_raise_the_number_of_attempts_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler_module, "BETWEEN_STAGES", 5)
    started = max_in_flight = 0
    ended: list[int] = []

    def attempts() -> Iterator[tuple[int, int]]:
        nonlocal started, max_in_flight
        for started in range(1, 2001):
            max_in_flight = max(max_in_flight, started - len(ended))
            yield started, 1

    async def ask(attempt: tuple[int, int], slot: SlotT) -> tuple[int, int]:
        async with slot:
            await anyio.lowlevel.checkpoint()
        return attempt

    async def grade(answer: tuple[int, int]) -> tuple[int, int] | None:
        await anyio.lowlevel.checkpoint()
        if answer[1] < 6:
            return answer[0], answer[1] + 1
        ended.append(answer[0])
        return None

    with anyio.fail_after(60):
        scheduler = Scheduler(ask, grade, max_sandboxes=2)
        await scheduler.run(Workload([attempts()], anyio.CapacityLimiter(2), 2))
    assert len(ended) == 2000
    assert max_in_flight <= 2 * WAITING_PER_SLOT + 5 + 2 + 1  # stages 1, between and 2; a new one


async def test_a_drain_starts_no_further_round() -> None:
    rounds = Rounds(9)

    async def grade(answer: tuple[int, int]) -> tuple[int, int] | None:
        if answer == (3, 2):
            scheduler.drain()
        return await rounds.grade(answer)

    scheduler = Scheduler(rounds.ask, grade, max_sandboxes=1)
    with anyio.fail_after(30):
        await scheduler.run(Workload([rounds.firsts(*range(9))], anyio.CapacityLimiter(2), 2))
    assert sorted(rounds.requested) == sorted(rounds.graded)
    assert (3, 2) in rounds.graded
    assert (3, 3) not in rounds.requested
    assert scheduler.in_flight == 0


async def test_an_attempt_without_an_answer_to_its_repair_is_complete() -> None:
    async def ask(attempt: int, slot: SlotT) -> int | None:
        async with slot:
            return attempt if attempt < 10 else None

    async def grade(answer: int) -> int:
        return answer + 10

    with anyio.fail_after(30):
        scheduler = Scheduler(ask, grade, max_sandboxes=1)
        await scheduler.run(workload(5, 2))
    assert scheduler.in_flight == 0


async def test_a_group_is_complete_before_the_next_begins() -> None:
    rounds = Rounds(3)
    with anyio.fail_after(30):
        scheduler = Scheduler(rounds.ask, rounds.grade, max_sandboxes=3)
        groups = [rounds.firsts(1, 2, 3), rounds.firsts(), rounds.firsts(4, 5)]
        await scheduler.run(Workload(groups, anyio.CapacityLimiter(4), 4))
    assert {number for number, _ in rounds.requested[:9]} == {1, 2, 3}
    assert {number for number, _ in rounds.requested[9:]} == {4, 5}
    assert len(rounds.graded) == 15


async def test_without_requeues_a_group_begins_before_the_last_is_graded() -> None:
    second_asked = anyio.Event()

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            if attempt == 2:
                second_asked.set()
            return attempt

    async def grade(answer: int) -> None:
        await second_asked.wait()

    with anyio.fail_after(30):
        scheduler = Scheduler(ask, grade, max_sandboxes=1)
        groups = Workload([[1], [2]], anyio.CapacityLimiter(1), 1, may_requeue=False)
        await scheduler.run(groups)
