"""Adaptive concurrency and the rate limiter of one server."""

import time

import anyio
import pytest

from llmbench.completions import Usage
from llmbench.models.limits import AdaptiveConcurrency, ServerLimits

pytestmark = pytest.mark.anyio


def adaptive(concurrency: int = 8, *, local: bool = False) -> AdaptiveConcurrency:
    return AdaptiveConcurrency("cloud", ServerLimits(concurrency), local=local)


async def test_one_overload_halves_the_slots_once() -> None:
    limiter = adaptive(8)
    sent_at = time.monotonic()
    for _ in range(8):  # all requests in flight
        limiter.on_overload(sent_at)
    assert limiter.slots.total_tokens == 4
    limiter.on_overload(time.monotonic())
    assert limiter.slots.total_tokens == 2
    for _ in range(9):
        limiter.on_overload(time.monotonic())
    assert limiter.slots.total_tokens == 1
    (note,) = limiter.limit_notes
    assert note == (
        "cloud refused requests 11 times because of its rate limit or load: "
        "down to 1 of 8 answers at once"
    )


async def test_an_overload_lasts_as_long_as_the_wait_that_the_server_requested() -> None:
    limiter = adaptive(8)
    limiter.on_overload(time.monotonic(), 30.0)
    for later in (1, 15, 29):
        limiter.on_overload(time.monotonic() + later, 30.0 - later)
    assert limiter.slots.total_tokens == 4
    limiter.on_overload(time.monotonic() + 31, 30.0)
    assert limiter.slots.total_tokens == 2


async def test_one_slot_is_added_after_as_many_answers_as_there_are_slots() -> None:
    limiter = adaptive(8)
    limiter.on_overload(time.monotonic())
    for slots in (5, 6, 7, 8):
        for _ in range(slots):
            limiter.on_success(0.1, 1.0)
        assert limiter.slots.total_tokens == slots
    for _ in range(50):
        limiter.on_success(0.1, 1.0)
    assert limiter.slots.total_tokens == 8


async def test_fewer_slots_do_not_interrupt_streaming_answers() -> None:
    limiter = adaptive(4)
    answers = [object() for _ in range(4)]
    for answer in answers:
        await limiter.slots.acquire_on_behalf_of(answer)
    limiter.on_overload(time.monotonic())
    assert limiter.slots.borrowed_tokens == 4
    entered = anyio.Event()

    async def next_one() -> None:
        async with limiter.slots:
            entered.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(next_one)
        for answer in answers[:2]:
            limiter.slots.release_on_behalf_of(answer)
        await anyio.wait_all_tasks_blocked()
        assert not entered.is_set()
        limiter.slots.release_on_behalf_of(answers[2])
        await entered.wait()


async def test_a_sequential_local_server_is_not_overloaded() -> None:
    limiter = adaptive(8, local=True)
    answer_seconds = 2.0
    for _ in range(60):  # each answer waits for those before it
        waited = 0.1 + answer_seconds * (limiter.slots.total_tokens - 1)
        limiter.on_success(waited, waited + answer_seconds)
    assert limiter.slots.total_tokens <= 2
    assert "made first tokens wait" in next(iter(limiter.limit_notes))


async def test_a_batching_local_server_soon_has_all_its_slots() -> None:
    limiter = adaptive(16, local=True)
    assert limiter.slots.total_tokens == 1
    for number in range(15):
        limiter.on_success(0.1 + 0.01 * (number % 9), 0.5)
    assert limiter.slots.total_tokens == 16
    for number in range(60):
        limiter.on_success(0.1 + 0.01 * (number % 9), 0.5)
    assert limiter.slots.total_tokens == 16
    assert list(limiter.limit_notes) == []


async def test_cached_prompts_do_not_make_other_first_tokens_count_as_late() -> None:
    limiter = adaptive(8, local=True)
    for number in range(200):
        prompt = 0.03 if number % 10 == 9 else 1.0 + 0.1 * (number % 5)
        limiter.on_success(prompt, prompt + 10.0)
    assert limiter.slots.total_tokens == 8
    assert list(limiter.limit_notes) == []


@pytest.mark.parametrize("batch_size", [1, 2, 4])
async def test_a_local_server_gets_about_as_many_requests_as_it_can_batch(
    batch_size: int,
) -> None:
    limiter = adaptive(8, local=True)
    for number in range(300):
        ahead = max(0, limiter.slots.total_tokens - batch_size)
        waited = 0.5 + 0.1 * (number % 5) + 12.0 * ahead / batch_size
        limiter.on_success(waited, waited + 12.0)
    assert batch_size <= limiter.slots.total_tokens <= batch_size + 1


async def test_slots_grow_again_when_a_local_server_is_fast_again() -> None:
    limiter = adaptive(4, local=True)
    limiter.on_success(0.1, 2.1)
    for _ in range(20):
        limiter.on_success(5.0, 7.0)
    assert limiter.slots.total_tokens == 1
    for _ in range(60):
        limiter.on_success(0.1, 2.1)
    assert limiter.slots.total_tokens == 4


async def test_requests_are_spaced_over_the_minute() -> None:
    rate = AdaptiveConcurrency("cloud", ServerLimits(8, rpm=60 / 0.05)).rate_limiter
    waits: list[float] = []

    async def ask() -> None:
        waits.append((await rate.acquire()).waited_seconds)

    began = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert time.monotonic() - began >= 4 * 0.05
    assert sorted(waits) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2], abs=0.02)
    assert rate.waited_seconds == pytest.approx(sum(waits))


async def test_the_minute_of_a_server_spans_runs() -> None:
    limits = ServerLimits(1, rpm=60 / 0.2)
    rate = AdaptiveConcurrency("cloud", limits).rate_limiter
    await rate.acquire()
    following = AdaptiveConcurrency("cloud", limits, rate_limiter=rate)
    permit = await following.rate_limiter.acquire()
    assert permit.waited_seconds == pytest.approx(0.2, abs=0.05)
    assert following.rate_limiter.waited_seconds == pytest.approx(0.2, abs=0.05)


async def test_tokens_that_were_used_delay_the_next_request() -> None:
    limits = ServerLimits(1, tpm=60_000)  # a thousand per second
    rate = AdaptiveConcurrency("cloud", limits).rate_limiter
    first = await rate.acquire()
    rate.record_usage(first, Usage(100, 200))
    second = await rate.acquire()
    assert second.waited_seconds == pytest.approx(0.3, abs=0.05)
    assert second.tokens == 300
    rate.record_usage(second, Usage(100, 200))
    assert (await rate.acquire()).waited_seconds == pytest.approx(0.3, abs=0.05)


async def test_without_a_rate_limit_no_request_waits() -> None:
    limiter = adaptive(2)
    assert [(await limiter.rate_limiter.acquire()).waited_seconds for _ in range(100)] == [0] * 100
    assert list(limiter.limit_notes) == []
