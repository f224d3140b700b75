"""The retry policy: what is retried, the waits, the counts."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from llmbench.completions import Completion
from llmbench.errors import (
    AttemptError,
    ModelError,
    TargetError,
    TransientError,
    UnreachableError,
)
from llmbench.models.retry import RetryPolicy

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def results(*outcomes: Exception | Completion) -> Callable[[], Awaitable[Completion]]:
    """A function that returns or raises one outcome after the other."""
    remaining = list(outcomes)

    async def send() -> Completion:
        outcome = remaining.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return send


def failed(
    message: str,
    requests: int,
    cost_usd: float | None = None,
    kind: type[ModelError] = TransientError,
) -> ModelError:
    error = kind(message)
    error.requests, error.cost_usd = requests, cost_usd
    return error


class Sleeps:
    """Records waits instead of waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await anyio.lowlevel.checkpoint()


async def test_a_transient_error_is_retried_and_the_requests_are_counted() -> None:
    sleeps = Sleeps()
    errors = [failed("a", 1), failed("b", 1, 0.5)]
    send = results(*errors, Completion("ok", requests=2, cost_usd=0.25))
    completion = await RetryPolicy(sleep=sleeps).run(send, anyio.Semaphore(1))
    assert completion.text == "ok"
    assert completion.requests == 4  # two failed, and the last try needed two
    assert completion.cost_usd == 0.75
    assert len(sleeps.seconds) == 2


@pytest.mark.parametrize("kind", [TransientError, AttemptError])
async def test_the_final_error_has_the_requests_and_the_cost_of_all_tries(
    kind: type[ModelError],
) -> None:
    errors = [failed("a", 1, 0.5), failed("b", 2), failed("c", 1, 0.25, kind)]
    with pytest.raises(kind) as caught:
        await RetryPolicy(3, sleep=Sleeps()).run(results(*errors), anyio.Semaphore(1))
    assert (caught.value.requests, caught.value.cost_usd) == (4, 0.75)


@pytest.mark.parametrize("error", [TargetError("x"), AttemptError("x"), ValueError("x")])
async def test_any_other_error_is_raised_at_once(error: Exception) -> None:
    sleeps = Sleeps()
    with pytest.raises(type(error)) as caught:
        await RetryPolicy(sleep=sleeps).run(results(error, Completion("no")), anyio.Semaphore(1))
    assert caught.value is error
    assert sleeps.seconds == []


async def test_when_all_tries_fail_the_last_error_has_the_number_of_tries() -> None:
    errors = [TransientError(str(n), retry_after=n) for n in range(9)]
    with pytest.raises(TransientError, match=r"^4 \(after 5 tries\)$") as caught:
        await RetryPolicy(sleep=Sleeps()).run(results(*errors), anyio.Semaphore(1))
    assert caught.value.retry_after == 4


async def test_waits_grow_with_jitter_and_stay_bounded() -> None:
    waits = []
    for _ in range(50):
        sleeps = Sleeps()
        with pytest.raises(TransientError):
            await RetryPolicy(sleep=sleeps, first_wait=1, max_wait=3).run(
                results(*[TransientError("x")] * 5), anyio.Semaphore(1)
            )
        waits.append(sleeps.seconds)
    for nth, bound in enumerate((1, 2, 3, 3)):
        column = [row[nth] for row in waits]
        assert 0 <= min(column) < max(column) <= bound


async def test_a_wait_that_the_server_requests_is_honoured_and_capped() -> None:
    sleeps = Sleeps()
    errors = [TransientError("x", retry_after=s) for s in (20, 9999)]
    await RetryPolicy(sleep=sleeps, first_wait=0.1).run(
        results(*errors, Completion("")), anyio.Semaphore(1)
    )
    assert 20 <= sleeps.seconds[0] <= 22
    assert 120 <= sleeps.seconds[1] <= 132


async def test_the_slot_is_free_while_a_retry_waits_and_held_while_an_answer_streams() -> None:
    slot = anyio.Semaphore(1)
    free_slots = []

    async def send() -> Completion:
        free_slots.append(slot.value)
        return await fails_once()

    async def sleep(_: float) -> None:
        free_slots.append(slot.value)

    fails_once = results(TransientError("x"), Completion("ok"))
    await RetryPolicy(sleep=sleep).run(send, slot)
    assert free_slots == [0, 1, 0]
    assert slot.value == 1


async def test_the_waits_for_the_slot_are_summed_over_all_tries() -> None:
    class SlowSlot:
        async def __aenter__(self) -> None:
            await anyio.sleep(0.05)

        async def __aexit__(self, *_: object) -> None:
            return None

    send = results(TransientError("x"), Completion("ok", llm_seconds=1.5))
    completion = await RetryPolicy(sleep=Sleeps()).run(send, SlowSlot())
    assert 0.1 <= completion.queue_seconds < 0.4
    assert completion.llm_seconds == 1.5


@pytest.mark.parametrize("moment", ["sending", "waiting"])
async def test_a_cancellation_is_not_retried(moment: str) -> None:
    slot = anyio.Semaphore(1)
    tries = 0

    async def send() -> Completion:
        nonlocal tries
        tries += 1
        if moment == "sending":
            await anyio.sleep_forever()
        raise TransientError("x")

    with anyio.move_on_after(0.05) as scope:
        await RetryPolicy(first_wait=60, max_wait=60, sleep=lambda _: anyio.sleep(30)).run(
            send, slot
        )
    assert scope.cancelled_caught
    assert tries == 1
    assert slot.value == 1


async def test_each_wait_is_notified_before_it_begins() -> None:
    notified: list[tuple[float, TransientError]] = []

    async def sleep(seconds: float) -> None:
        assert notified[-1][0] == seconds

    error = TransientError("x: HTTP 429", retry_after=30)
    retry = RetryPolicy(sleep=sleep, notify=lambda *args: notified.append(args))
    await retry.run(results(error, error, Completion("ok")), anyio.Semaphore(1))
    assert [args[1] for args in notified] == [error, error]
    assert all(30 <= args[0] <= 33 for args in notified)


async def test_the_last_error_has_the_class_and_the_hint_of_its_try() -> None:
    error = UnreachableError("cannot reach http://x/v1", hint="start it")
    with pytest.raises(UnreachableError) as caught:
        await RetryPolicy(2, sleep=Sleeps()).run(results(error, error), anyio.Semaphore(1))
    assert str(caught.value) == "cannot reach http://x/v1 (after 2 tries): start it"
    assert caught.value.hint == "start it"
