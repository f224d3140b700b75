"""The two stages: bounds, order, drain, failure, cancellation."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.lowlevel
import pytest

from llmbench import scheduler as engines
from llmbench.scheduler import BETWEEN_STAGES, WAITING_PER_SLOT, Scheduler, Workload

pytestmark = pytest.mark.anyio

SlotT = AbstractAsyncContextManager[object]


def share(attempts: int, slots: int) -> Workload[int]:
    return Workload([range(attempts)], anyio.CapacityLimiter(slots), slots)


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

    engine = Scheduler(ask, grade, sandboxes=2)
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

    await Scheduler(ask, grade, sandboxes=2).run(share(60, 5))
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
        await Scheduler(ask, grade, sandboxes=1).run(share(4, 1))
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
        engine = Scheduler(ask, grade, sandboxes=1)
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
        engine = Scheduler(ask, grade, sandboxes=1)
        tasks.start_soon(engine.run, Workload([attempts()], anyio.CapacityLimiter(4), 4))
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
        engine = Scheduler(ask, grade, sandboxes=1)
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
        await Scheduler(ask, grade, sandboxes=2).run(share(100, 2))
    assert raised.value.subgroup(OSError) is not None


async def test_cancelling_a_run_leaves_no_slot_taken() -> None:
    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            await anyio.sleep_forever()
        return attempt

    async def grade(_: int) -> None: ...

    held = share(100, 3)
    with anyio.move_on_after(0.05):
        await Scheduler(ask, grade, sandboxes=1).run(held)
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

    slow = Workload([range(10)], anyio.CapacityLimiter(2), 2)
    quick = Workload([range(10, 60)], anyio.CapacityLimiter(1), 1)
    with anyio.move_on_after(0.5):
        await Scheduler(ask, grade, sandboxes=1).run(slow, quick)
    assert done == list(range(10, 60))


class Rounds:
    """Asks and grades (number, round); a number goes back until it has had so many rounds."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.asked: list[tuple[int, int]] = []
        self.graded: list[tuple[int, int]] = []

    async def ask(self, attempt: tuple[int, int], slot: SlotT) -> tuple[int, int]:
        async with slot:
            self.asked.append(attempt)
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
async def test_what_goes_back_is_asked_again_also_where_every_stage_is_full(
    slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BETWEEN_STAGES", 0)
    monkeypatch.setattr(engines, "WAITING_PER_SLOT", 1)
    rounds = Rounds(4)
    limiter = anyio.CapacityLimiter(slots)
    engine = Scheduler(rounds.ask, rounds.grade, sandboxes=1)
    with anyio.fail_after(30):
        await engine.run(Workload([rounds.firsts(*range(50))], limiter, slots))
    every = [(number, round_) for number in range(50) for round_ in range(1, 5)]
    assert sorted(rounds.asked) == sorted(rounds.graded) == every
    assert (engine.in_flight, limiter.borrowed_tokens) == (0, 0)


async def test_what_went_back_comes_before_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BETWEEN_STAGES", 0)
    rounds = Rounds(3)
    with anyio.fail_after(30):
        engine = Scheduler(rounds.ask, rounds.grade, sandboxes=1)
        await engine.run(Workload([rounds.firsts(*range(200))], anyio.CapacityLimiter(1), 1))
    begun, ended = 0, 0
    for _, round_ in rounds.asked:
        begun += round_ == 1
        ended += round_ == 3
        assert begun - ended <= WAITING_PER_SLOT + 1  # in stage 1 and in stage 2


async def test_nothing_is_held_while_an_attempt_is_between_its_rounds() -> None:
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
        await Scheduler(ask, grade, sandboxes=1).run(Workload([[2]], limiter, 1))
    assert free == [0, 0, 0]


async def test_as_many_attempts_are_underway_with_rounds_as_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "BETWEEN_STAGES", 5)
    taken = most = 0
    ended: list[int] = []

    def attempts() -> Iterator[tuple[int, int]]:
        nonlocal taken, most
        for taken in range(1, 2001):
            most = max(most, taken - len(ended))
            yield taken, 1

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
        engine = Scheduler(ask, grade, sandboxes=2)
        await engine.run(Workload([attempts()], anyio.CapacityLimiter(2), 2))
    assert len(ended) == 2000
    assert most <= 2 * WAITING_PER_SLOT + 5 + 2 + 1  # stage 1, between, stage 2, and the new one


async def test_a_drain_begins_no_further_round() -> None:
    rounds = Rounds(9)

    async def grade(answer: tuple[int, int]) -> tuple[int, int] | None:
        if answer == (3, 2):
            engine.drain()
        return await rounds.grade(answer)

    engine = Scheduler(rounds.ask, grade, sandboxes=1)
    with anyio.fail_after(30):
        await engine.run(Workload([rounds.firsts(*range(9))], anyio.CapacityLimiter(2), 2))
    assert sorted(rounds.asked) == sorted(rounds.graded)
    assert (3, 2) in rounds.graded
    assert (3, 3) not in rounds.asked
    assert engine.in_flight == 0


async def test_an_attempt_that_gets_no_answer_in_a_later_round_is_at_its_end() -> None:
    async def ask(attempt: int, slot: SlotT) -> int | None:
        async with slot:
            return attempt if attempt < 10 else None

    async def grade(answer: int) -> int:
        return answer + 10

    with anyio.fail_after(30):
        engine = Scheduler(ask, grade, sandboxes=1)
        await engine.run(share(5, 2))
    assert engine.in_flight == 0


async def test_a_group_is_at_its_end_before_the_next_begins() -> None:
    rounds = Rounds(3)
    with anyio.fail_after(30):
        engine = Scheduler(rounds.ask, rounds.grade, sandboxes=3)
        groups = [rounds.firsts(1, 2, 3), rounds.firsts(), rounds.firsts(4, 5)]
        await engine.run(Workload(groups, anyio.CapacityLimiter(4), 4))
    assert {number for number, _ in rounds.asked[:9]} == {1, 2, 3}
    assert {number for number, _ in rounds.asked[9:]} == {4, 5}
    assert len(rounds.graded) == 15


async def test_where_nothing_comes_back_a_group_does_not_wait_for_the_tests_of_the_last() -> None:
    second_asked = anyio.Event()

    async def ask(attempt: int, slot: SlotT) -> int:
        async with slot:
            if attempt == 2:
                second_asked.set()
            return attempt

    async def grade(answer: int) -> None:
        await second_asked.wait()

    with anyio.fail_after(30):
        engine = Scheduler(ask, grade, sandboxes=1)
        share = Workload([[1], [2]], anyio.CapacityLimiter(1), 1, bring_back=False)
        await engine.run(share)
