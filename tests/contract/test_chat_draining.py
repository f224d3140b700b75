"""A model that is drained finishes what is under way, and sends away all that waits."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext

import anyio
import pytest
from helpers.scripted_server import Script, chunk, event, events, scripted

from llmbench.errors import CancelledBeforeSendError, TransientError
from llmbench.models.chat import ChatModel
from llmbench.models.limits import ServerLimits
from llmbench.models.pricing import Price
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server
from llmbench.models.waiting import WaitingRequests
from llmbench.records import Completion, Message, Sampling, Target

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

WHOLE = Script([events(chunk("Hello"), chunk(None, "stop"))])
BUSY = Script([b"slow down"], 429, headers=["Retry-After: 60"])
QUESTION = (Message("user", "Say hello."),)
NO_WAIT = RetryPolicy(3, first_wait=0.0)
Slot = AbstractAsyncContextManager[object]


def model_of(server: Server, retries: RetryPolicy = NO_WAIT, *, warm_up: bool = False) -> ChatModel:
    target = Target("openrouter", "m", server.base_url, Sampling(4096))
    return ChatModel(target, server, retries, Price(1e-4, 1e-3), warm_up=warm_up)


async def drained(
    model: ChatModel, when: Callable[[], Awaitable[object]], slot: Slot | None = None
) -> tuple[int, Completion | Exception]:
    """Ask, drain at that moment: how many were sent away, and how the attempt ended."""
    ended: list[Completion | Exception] = []

    async def ask() -> None:
        try:
            ended.append(await model.complete(QUESTION, run=1, slot=slot or nullcontext()))
        except Exception as error:
            ended.append(error)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await when()
            sent_away = model.drain()
    return sent_away, ended[0]


async def test_what_waits_for_a_retry_is_given_up_and_not_what_streams() -> None:
    waits = anyio.Event()
    retries = RetryPolicy(notify=lambda seconds, fault: waits.set())
    async with scripted(BUSY) as (wire, server):
        sent_away, ended = await drained(model_of(server, retries), waits.wait)
    assert sent_away == 1
    assert isinstance(ended, CancelledBeforeSendError)
    assert len(wire.heads) == 1

    async with scripted(Script([event(chunk("Hel")), 0.3, WHOLE.parts[0]])) as (wire, server):
        sent_away, ended = await drained(model_of(server), asked(wire.heads))
    assert sent_away == 0
    assert isinstance(ended, Completion)
    assert ended.text == "HelHello"


async def test_a_passing_fault_after_it_is_not_tried_again() -> None:
    async with scripted(Script([event(chunk("Hel")), 0.3], cut=True), WHOLE) as (wire, server):
        sent_away, ended = await drained(model_of(server), asked(wire.heads))
    assert sent_away == 0
    assert isinstance(ended, CancelledBeforeSendError)
    assert len(wire.heads) == 1


async def test_what_has_cost_something_goes_on_to_what_tells_its_cost() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}
    failing = Script([event(chunk("x")), 0.3, events(chunk("x", "error"), usage)])
    async with scripted(failing) as (wire, server):
        sent_away, ended = await drained(model_of(server), asked(wire.heads))
    assert sent_away == 0
    assert isinstance(ended, TransientError)
    assert ended.cost_usd == pytest.approx(3 * 0.02)
    assert len(wire.heads) == 3


async def test_what_waits_for_its_turn_its_slot_or_its_model_is_given_up() -> None:
    async with scripted(WHOLE) as (wire, server):
        server.traffic.pace.begin(ServerLimits(4, requests=1))
        model = model_of(server)
        await model.complete(QUESTION, run=1, slot=nullcontext())
        sent_away, ended = await drained(model, settled)
        assert (sent_away, type(ended), len(wire.heads)) == (1, CancelledBeforeSendError, 1)
    async with scripted(WHOLE) as (wire, server):
        slot = anyio.CapacityLimiter(1)
        await slot.acquire()
        sent_away, ended = await drained(model_of(server), settled, slot)
        assert (sent_away, type(ended), len(wire.heads)) == (1, CancelledBeforeSendError, 0)
        assert slot.borrowed_tokens == 1
    async with scripted(Script([30.0])) as (wire, server):
        loading = model_of(server, warm_up=True)
        sent_away, ended = await drained(loading, asked(wire.heads))
        assert (sent_away, type(ended), len(wire.heads)) == (1, CancelledBeforeSendError, 1)


async def test_whose_wait_has_ended_when_the_line_is_closed_sends_nothing() -> None:
    line = WaitingRequests()
    with line.wait() as place:
        assert line.close() == 1
        with pytest.raises(CancelledBeforeSendError), place.sending():
            pytest.fail("a request is sent")


async def test_nothing_is_asked_after_it() -> None:
    async with scripted(WHOLE) as (wire, server):
        model = model_of(server)
        assert model.drain() == 0
        with pytest.raises(CancelledBeforeSendError):
            await model.complete(QUESTION, run=1, slot=nullcontext())
    assert wire.heads == []


def asked(requests: list[str]) -> Callable[[], Awaitable[None]]:
    """Waits until a request has come."""

    async def wait() -> None:
        while not requests:
            await anyio.sleep(0.01)

    return wait


async def settled() -> None:
    """Time for all that can go on to do so."""
    await anyio.sleep(0.1)
