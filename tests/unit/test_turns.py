"""Turns of answers and tests: never both at once, in batches, without a deadlock."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from llmbench import turns as turns_module
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import Target
from llmbench.runs.alternation import in_turns
from llmbench.scheduler import Scheduler, Workload
from llmbench.turns import Turns

pytestmark = pytest.mark.anyio

SlotT = AbstractAsyncContextManager[object]


class Trace:
    """A run of attempts in turns, with what ran at once."""

    def __init__(self, batch: int, repairs: int = 0) -> None:
        self.turns = Turns(batch)
        self.repairs = repairs
        self.answers = self.tests = self.overlaps = self.tested = 0
        self.order = ""

    async def ask(self, attempt: int, slot: SlotT) -> int:
        async with self.turns.answering(slot):
            self.answers += 1
            self.overlaps += self.tests > 0
            self.order += "a"
            await anyio.sleep(0.002)
            self.answers -= 1
        self.turns.add_untested()
        return attempt

    async def grade(self, attempt: int) -> int | None:
        async with self.turns.testing():
            self.tests += 1
            self.overlaps += self.answers > 0
            self.order += "t"
            await anyio.sleep(0.003)
            self.tests -= 1
        self.tested += 1
        if self.repairs:
            self.repairs -= 1
            return attempt
        return None

    async def run(self, attempts: int, concurrency: int, sandboxes: int) -> None:
        scheduler = Scheduler(self.ask, self.grade, max_sandboxes=sandboxes)
        workload = Workload([range(attempts)], anyio.CapacityLimiter(concurrency), concurrency)
        with anyio.fail_after(20):
            await scheduler.run(workload)


@pytest.mark.parametrize(("concurrency", "sandboxes", "batch"), [(1, 1, 1), (1, 3, 3), (4, 2, 8)])
async def test_no_test_runs_while_an_answer_streams(
    concurrency: int, sandboxes: int, batch: int
) -> None:
    trace = Trace(batch)
    await trace.run(30, concurrency, sandboxes)
    assert trace.overlaps == 0
    assert trace.tested == 30


async def test_tests_run_in_batches() -> None:
    trace = Trace(4)
    await trace.run(16, 1, 4)
    assert trace.order == "aaaatttt" * 4


async def test_repairs_do_not_wait_for_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "QUIET_SECONDS", 0.005)
    trace = Trace(100, repairs=3)
    await trace.run(2, 2, 2)
    assert (trace.tested, trace.overlaps) == (5, 0)


async def test_a_cancelled_wait_gives_the_slot_back() -> None:
    turns, slot = Turns(1), anyio.Semaphore(1)
    turns.add_untested()
    with anyio.move_on_after(0.01) as scope:
        async with turns.answering(slot):
            pytest.fail("it is the turn of tests")
    assert scope.cancelled_caught
    assert slot.value == 1
    async with turns.testing():
        pass
    with anyio.fail_after(1):
        async with turns.answering(nullcontext()):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("url", "local", "alternate", "in_turns_"),
    [
        ("http://localhost:1234/v1", True, True, True),
        ("http://localhost:1234/v1", True, False, False),
        ("http://localhost:4000/v1", False, True, False),  # a proxy to models elsewhere
        ("http://10.0.0.7:1234/v1", True, True, False),
    ],
)
def test_only_a_model_on_this_machine_takes_turns(
    url: str, local: bool, alternate: bool, in_turns_: bool
) -> None:
    class Pipeline:
        async def ask(self) -> None: ...

        async def grade(self) -> None: ...

    pipeline: Any = Pipeline()
    plan = Plan((EndpointPlan((Target("p", "m", url),), 1, local),), (), 1, 2, 10.0)
    ask, grade = in_turns(pipeline, plan, alternate=alternate)
    assert (ask != pipeline.ask, grade != pipeline.grade) == (in_turns_, in_turns_)
