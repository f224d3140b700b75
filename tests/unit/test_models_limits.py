"""What one server is asked at once and per minute."""

import time

import anyio
import pytest

from llmbench.models.limits import AdaptiveConcurrency, ServerLimits
from llmbench.records import Usage

pytestmark = pytest.mark.anyio


def traffic(at_once: int = 8, *, local: bool = False) -> AdaptiveConcurrency:
    return AdaptiveConcurrency("cloud", ServerLimits(at_once), local=local)


async def test_one_episode_of_refusals_halves_the_slots_once() -> None:
    one = traffic(8)
    sent = time.monotonic()
    for _ in range(8):  # all that were under way
        one.refused(sent)
    assert one.slots.total_tokens == 4
    one.refused(time.monotonic())
    assert one.slots.total_tokens == 2
    for _ in range(9):
        one.refused(time.monotonic())
    assert one.slots.total_tokens == 1
    (said,) = one.limit_notes
    assert said == "cloud refused 11 times for its rate or load: down to 1 of 8 answers at once"


async def test_an_episode_lasts_as_long_as_the_server_asked_to_be_left_alone() -> None:
    one = traffic(8)
    one.refused(time.monotonic(), 30.0)
    for later in (1, 15, 29):
        one.refused(time.monotonic() + later, 30.0 - later)
    assert one.slots.total_tokens == 4
    one.refused(time.monotonic() + 31, 30.0)
    assert one.slots.total_tokens == 2


async def test_slots_grow_again_one_after_as_many_answers_as_there_are() -> None:
    one = traffic(8)
    one.refused(time.monotonic())
    for wanted in (5, 6, 7, 8):
        for _ in range(wanted):
            one.answered(0.1, 1.0)
        assert one.slots.total_tokens == wanted
    for _ in range(50):
        one.answered(0.1, 1.0)
    assert one.slots.total_tokens == 8


async def test_a_cut_takes_no_slot_from_an_answer_that_streams() -> None:
    one = traffic(4)
    held = [object() for _ in range(4)]
    for each in held:
        await one.slots.acquire_on_behalf_of(each)
    one.refused(time.monotonic())
    assert one.slots.borrowed_tokens == 4
    entered = anyio.Event()

    async def next_one() -> None:
        async with one.slots:
            entered.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(next_one)
        for each in held[:2]:
            one.slots.release_on_behalf_of(each)
        await anyio.wait_all_tasks_blocked()
        assert not entered.is_set()
        one.slots.release_on_behalf_of(held[2])
        await entered.wait()


async def test_a_local_server_that_answers_one_after_another_is_not_over_driven() -> None:
    one = traffic(8, local=True)
    answer = 2.0
    for _ in range(60):  # each waits for those before it
        waited = 0.1 + answer * (one.slots.total_tokens - 1)
        one.answered(waited, waited + answer)
    assert one.slots.total_tokens <= 2
    assert "made first tokens wait" in next(iter(one.limit_notes))


async def test_a_local_server_that_batches_soon_has_all_its_slots() -> None:
    one = traffic(16, local=True)
    assert one.slots.total_tokens == 1
    for number in range(15):
        one.answered(0.1 + 0.01 * (number % 9), 0.5)
    assert one.slots.total_tokens == 16
    for number in range(60):
        one.answered(0.1 + 0.01 * (number % 9), 0.5)
    assert one.slots.total_tokens == 16
    assert list(one.limit_notes) == []


async def test_prompts_in_the_cache_of_a_local_server_make_the_others_not_late() -> None:
    one = traffic(8, local=True)
    for number in range(200):
        prompt = 0.03 if number % 10 == 9 else 1.0 + 0.1 * (number % 5)
        one.answered(prompt, prompt + 10.0)
    assert one.slots.total_tokens == 8
    assert list(one.limit_notes) == []


@pytest.mark.parametrize("places", [1, 2, 4])
async def test_a_local_server_is_given_about_as_many_answers_as_it_has_places(places: int) -> None:
    one = traffic(8, local=True)
    for number in range(300):
        ahead = max(0, one.slots.total_tokens - places)
        waited = 0.5 + 0.1 * (number % 5) + 12.0 * ahead / places
        one.answered(waited, waited + 12.0)
    assert places <= one.slots.total_tokens <= places + 1


async def test_a_local_server_that_has_room_again_gets_more() -> None:
    one = traffic(4, local=True)
    one.answered(0.1, 2.1)
    for _ in range(20):
        one.answered(5.0, 7.0)
    assert one.slots.total_tokens == 1
    for _ in range(60):
        one.answered(0.1, 2.1)
    assert one.slots.total_tokens == 4


async def test_requests_are_spaced_over_the_minute() -> None:
    pace = AdaptiveConcurrency("cloud", ServerLimits(8, requests=60 / 0.05)).pace
    waits: list[float] = []

    async def ask() -> None:
        waits.append((await pace.turn()).seconds)

    began = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert time.monotonic() - began >= 4 * 0.05
    assert sorted(waits) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2], abs=0.02)
    assert pace.waited == pytest.approx(sum(waits))


async def test_a_servers_minute_goes_on_in_the_next_run() -> None:
    allowed = ServerLimits(1, requests=60 / 0.2)
    pace = AdaptiveConcurrency("cloud", allowed).pace
    await pace.turn()
    after = AdaptiveConcurrency("cloud", allowed, pace=pace)
    assert (await after.pace.turn()).seconds == pytest.approx(0.2, abs=0.05)
    assert after.pace.waited == pytest.approx(0.2, abs=0.05)


async def test_tokens_that_were_used_delay_the_next_request() -> None:
    pace = AdaptiveConcurrency(
        "cloud", ServerLimits(1, tokens=60_000)
    ).pace  # a thousand in a second
    first = await pace.turn()
    pace.used(first, Usage(100, 200))
    second = await pace.turn()
    assert second.seconds == pytest.approx(0.3, abs=0.05)
    assert second.tokens == 300
    pace.used(second, Usage(100, 200))
    assert (await pace.turn()).seconds == pytest.approx(0.3, abs=0.05)


async def test_without_a_limit_nothing_waits() -> None:
    one = traffic(2)
    assert [(await one.pace.turn()).seconds for _ in range(100)] == [0] * 100
    assert list(one.limit_notes) == []
