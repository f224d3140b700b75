"""Draining a model: requests in flight finish, waiting ones are cancelled."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext

import anyio
import pytest
from helpers.scripted_server import Script, chunk, event, events, scripted

from llmbench.completions import Completion
from llmbench.errors import CancelledBeforeSendError, TransientError
from llmbench.models.chat import ChatModel
from llmbench.models.limits import ServerLimits
from llmbench.models.pricing import Price
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server
from llmbench.models.waiting import WaitingRequests
from llmbench.records import Message, Sampling, Target

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]

WHOLE = Script([events(chunk("Hello"), chunk(None, "stop"))])
BUSY = Script([b"slow down"], 429, headers=["Retry-After: 60"])
MESSAGES = (Message("user", "Say hello."),)
NO_WAIT = RetryPolicy(3, first_wait=0.0)
Slot = AbstractAsyncContextManager[object]


def chat_model(server: Server, retry: RetryPolicy = NO_WAIT, *, warm_up: bool = False) -> ChatModel:
    target = Target("openrouter", "m", server.base_url, Sampling(4096))
    return ChatModel(target, server, retry, Price(1e-4, 1e-3), warm_up=warm_up)


async def drain_during(
    model: ChatModel, moment: Callable[[], Awaitable[object]], slot: Slot | None = None
) -> tuple[int, Completion | Exception]:
    """Drain at a moment of an attempt; the number of cancelled requests, the attempt's result."""
    results: list[Completion | Exception] = []

    async def ask() -> None:
        try:
            results.append(await model.complete(MESSAGES, run=1, slot=slot or nullcontext()))
        except Exception as error:
            results.append(error)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await moment()
            cancelled = model.drain()
    return cancelled, results[0]


async def test_draining_cancels_a_waiting_retry_and_completes_a_streaming_answer() -> None:
    waiting = anyio.Event()
    retry = RetryPolicy(notify=lambda seconds, error: waiting.set())
    async with scripted(BUSY) as (wire, server):
        cancelled, result = await drain_during(chat_model(server, retry), waiting.wait)
    assert cancelled == 1
    assert isinstance(result, CancelledBeforeSendError)
    assert len(wire.heads) == 1

    async with scripted(Script([event(chunk("Hel")), 0.3, WHOLE.parts[0]])) as (wire, server):
        cancelled, result = await drain_during(chat_model(server), request_in(wire.heads))
    assert cancelled == 0
    assert isinstance(result, Completion)
    assert result.text == "HelHello"


async def test_a_transient_error_after_draining_is_not_retried() -> None:
    async with scripted(Script([event(chunk("Hel")), 0.3], cut=True), WHOLE) as (wire, server):
        cancelled, result = await drain_during(chat_model(server), request_in(wire.heads))
    assert cancelled == 0
    assert isinstance(result, CancelledBeforeSendError)
    assert len(wire.heads) == 1


async def test_an_attempt_that_has_cost_something_is_retried_after_draining() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}
    failing = Script([event(chunk("x")), 0.3, events(chunk("x", "error"), usage)])
    async with scripted(failing) as (wire, server):
        cancelled, result = await drain_during(chat_model(server), request_in(wire.heads))
    assert cancelled == 0
    assert isinstance(result, TransientError)
    assert result.cost_usd == pytest.approx(3 * 0.02)
    assert len(wire.heads) == 3


async def test_draining_cancels_waits_for_a_permit_a_slot_and_a_loading_model() -> None:
    async with scripted(WHOLE) as (wire, server):
        server.limiter.rate_limiter.start_run(ServerLimits(4, rpm=1))
        model = chat_model(server)
        await model.complete(MESSAGES, run=1, slot=nullcontext())
        cancelled, result = await drain_during(model, settled)
        assert (cancelled, type(result), len(wire.heads)) == (1, CancelledBeforeSendError, 1)
    async with scripted(WHOLE) as (wire, server):
        slot = anyio.CapacityLimiter(1)
        await slot.acquire()
        cancelled, result = await drain_during(chat_model(server), settled, slot)
        assert (cancelled, type(result), len(wire.heads)) == (1, CancelledBeforeSendError, 0)
        assert slot.borrowed_tokens == 1
    async with scripted(Script([30.0])) as (wire, server):
        loading = chat_model(server, warm_up=True)
        cancelled, result = await drain_during(loading, request_in(wire.heads))
        assert (cancelled, type(result), len(wire.heads)) == (1, CancelledBeforeSendError, 1)


async def test_an_attempt_whose_wait_ended_just_before_closing_sends_nothing() -> None:
    waiting = WaitingRequests()
    with waiting.wait() as waiter:
        assert waiting.close() == 1
        with pytest.raises(CancelledBeforeSendError), waiter.sending():
            pytest.fail("a request is sent")


async def test_a_drained_model_sends_no_request() -> None:
    async with scripted(WHOLE) as (wire, server):
        model = chat_model(server)
        assert model.drain() == 0
        with pytest.raises(CancelledBeforeSendError):
            await model.complete(MESSAGES, run=1, slot=nullcontext())
    assert wire.heads == []


def request_in(requests: list[str]) -> Callable[[], Awaitable[None]]:
    """A function that waits until a request has arrived."""

    async def wait() -> None:
        while not requests:
            await anyio.sleep(0.01)

    return wait


async def settled() -> None:
    """Wait until every task that can proceed has done so."""
    await anyio.sleep(0.1)
