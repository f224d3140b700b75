from collections.abc import Awaitable, Callable

import anyio
import pytest

from llmbench.errors import AttemptError, ModelError, TargetError, TransientError
from llmbench.models.retry import RetryPolicy
from llmbench.records import Completion

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def answers(*outcomes: Exception | Completion) -> Callable[[], Awaitable[Completion]]:
    left = list(outcomes)

    async def ask() -> Completion:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return ask


def failed(
    message: str,
    requests: int,
    cost_usd: float | None = None,
    kind: type[ModelError] = TransientError,
) -> ModelError:
    fault = kind(message)
    fault.requests, fault.cost_usd = requests, cost_usd
    return fault


class Sleeps:
    """Waits that take no time and are kept."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await anyio.lowlevel.checkpoint()


async def test_a_passing_fault_is_tried_again_and_the_tries_are_counted() -> None:
    sleeps = Sleeps()
    faults = [failed("a", 1), failed("b", 1, 0.5)]
    ask = answers(*faults, Completion("ok", requests=2, cost_usd=0.25))
    completion = await RetryPolicy(sleep=sleeps).run(ask, anyio.Semaphore(1))
    assert completion.text == "ok"
    assert completion.requests == 4  # two that failed, and two requests in the try that did not
    assert completion.cost_usd == 0.75
    assert len(sleeps.seconds) == 2


@pytest.mark.parametrize("kind", [TransientError, AttemptError])
async def test_a_fault_that_ends_it_has_the_requests_and_the_cost_of_all_tries(
    kind: type[ModelError],
) -> None:
    faults = [failed("a", 1, 0.5), failed("b", 2), failed("c", 1, 0.25, kind)]
    with pytest.raises(kind) as caught:
        await RetryPolicy(3, sleep=Sleeps()).run(answers(*faults), anyio.Semaphore(1))
    assert (caught.value.requests, caught.value.cost_usd) == (4, 0.75)


@pytest.mark.parametrize("fault", [TargetError("x"), AttemptError("x"), ValueError("x")])
async def test_any_other_fault_is_raised_at_once(fault: Exception) -> None:
    sleeps = Sleeps()
    with pytest.raises(type(fault)) as caught:
        await RetryPolicy(sleep=sleeps).run(answers(fault, Completion("no")), anyio.Semaphore(1))
    assert caught.value is fault
    assert sleeps.seconds == []


async def test_when_all_tries_fail_the_last_fault_says_how_many_there_were() -> None:
    faults = [TransientError(str(n), retry_after=n) for n in range(9)]
    with pytest.raises(TransientError, match=r"^4 \(after 5 tries\)$") as caught:
        await RetryPolicy(sleep=Sleeps()).run(answers(*faults), anyio.Semaphore(1))
    assert caught.value.retry_after == 4


async def test_waits_grow_with_jitter_and_stay_bounded() -> None:
    waits = []
    for _ in range(50):
        sleeps = Sleeps()
        with pytest.raises(TransientError):
            await RetryPolicy(sleep=sleeps, first_wait=1, longest_wait=3).run(
                answers(*[TransientError("x")] * 5), anyio.Semaphore(1)
            )
        waits.append(sleeps.seconds)
    for nth, bound in enumerate((1, 2, 3, 3)):
        column = [row[nth] for row in waits]
        assert 0 <= min(column) < max(column) <= bound


async def test_a_wait_that_the_server_asks_for_is_honoured_and_capped() -> None:
    sleeps = Sleeps()
    faults = [TransientError("x", retry_after=s) for s in (20, 9999)]
    await RetryPolicy(sleep=sleeps, first_wait=0.1).run(
        answers(*faults, Completion("")), anyio.Semaphore(1)
    )
    assert 20 <= sleeps.seconds[0] <= 22
    assert 120 <= sleeps.seconds[1] <= 132


async def test_the_slot_is_free_while_a_retry_waits_and_held_while_an_answer_streams() -> None:
    slot = anyio.Semaphore(1)
    seen = []

    async def ask() -> Completion:
        seen.append(slot.value)
        return await fails_once()

    async def sleep(_: float) -> None:
        seen.append(slot.value)

    fails_once = answers(TransientError("x"), Completion("ok"))
    await RetryPolicy(sleep=sleep).run(ask, slot)
    assert seen == [0, 1, 0]
    assert slot.value == 1


async def test_the_waits_for_the_slot_are_summed_over_all_tries() -> None:
    class SlowSlot:
        async def __aenter__(self) -> None:
            await anyio.sleep(0.05)

        async def __aexit__(self, *_: object) -> None:
            return None

    ask = answers(TransientError("x"), Completion("ok", llm_seconds=1.5))
    completion = await RetryPolicy(sleep=Sleeps()).run(ask, SlowSlot())
    assert 0.1 <= completion.queue_seconds < 0.4
    assert completion.llm_seconds == 1.5


@pytest.mark.parametrize("where", ["asking", "waiting"])
async def test_cancellation_is_never_taken_for_a_fault(where: str) -> None:
    slot = anyio.Semaphore(1)
    asked = 0

    async def ask() -> Completion:
        nonlocal asked
        asked += 1
        if where == "asking":
            await anyio.sleep_forever()
        raise TransientError("x")

    with anyio.move_on_after(0.05) as scope:
        await RetryPolicy(first_wait=60, longest_wait=60, sleep=lambda _: anyio.sleep(30)).run(
            ask, slot
        )
    assert scope.cancelled_caught
    assert asked == 1
    assert slot.value == 1


async def test_each_wait_is_told_before_it_begins() -> None:
    told: list[tuple[float, TransientError]] = []

    async def sleep(seconds: float) -> None:
        assert told[-1][0] == seconds

    fault = TransientError("x: HTTP 429", retry_after=30)
    retries = RetryPolicy(sleep=sleep, notify=lambda *heard: told.append(heard))
    await retries.run(answers(fault, fault, Completion("ok")), anyio.Semaphore(1))
    assert [heard[1] for heard in told] == [fault, fault]
    assert all(30 <= heard[0] <= 33 for heard in told)
