"""Concurrency, warm-up, loaded models and extra parameters of a server."""

import json
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import anyio
import pytest
from helpers.scripted_server import Script, chunk, events, scripted

from llmbench.completions import Completion
from llmbench.errors import TargetError
from llmbench.models.chat import ChatModel
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server
from llmbench.records import Message, Sampling, Target

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]

WHOLE = Script([events(chunk("Hello"), chunk(None, "stop"))])
BUSY = Script([b'{"error": {"message": "slow down"}}'], 429, "application/json")
NO_MODEL = Script([b'{"error": {"message": "model m not found"}}'], 404, "application/json")
MESSAGES = (Message("user", "Say hello."),)
QUICK = RetryPolicy(3, first_wait=0.001, max_wait=0.002)


def chat_model(server: Server, *, warm_up: bool = False, extra: str = "{}") -> ChatModel:
    target = Target("openrouter", "m", server.base_url, Sampling(4096, 0.2), extra)
    return ChatModel(target, server, QUICK, warm_up=warm_up)


async def ask(
    model: ChatModel, slot: AbstractAsyncContextManager[object] | None = None
) -> Completion:
    return await model.complete(MESSAGES, run=1, slot=slot or nullcontext())


def listing(*entries: dict[str, Any]) -> Script:
    return Script([json.dumps({"data": list(entries)}).encode()], 200, "application/json")


async def test_a_rate_limit_halves_the_slots_and_the_request_is_retried() -> None:
    async with scripted(BUSY, WHOLE) as (_, server):
        before = server.limiter.slots.total_tokens
        completion = await ask(chat_model(server))
        assert (completion.text, completion.requests) == ("Hello", 2)
        assert server.limiter.slots.total_tokens == before // 2
        assert "refused requests once because of its rate limit or load" in next(
            iter(server.limiter.limit_notes)
        )


async def test_a_refusal_at_the_minimum_of_one_slot_is_reported() -> None:
    async with scripted(BUSY, WHOLE, provider="vllm") as (_, server):
        await ask(chat_model(server))
        assert "down to 1 of" in next(iter(server.limiter.limit_notes))


async def test_models_of_one_server_share_its_limit() -> None:
    async with scripted(BUSY, WHOLE) as (_, server):
        one, other = chat_model(server), chat_model(server)
        await ask(one)
        assert list(one.limit_notes) == list(other.limit_notes) != []


async def test_the_first_token_of_a_repair_does_not_change_the_concurrency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Script([events(chunk("Hel")), 0.05, events(chunk("lo"), chunk(None, "stop"))])
    first_tokens: list[float | None] = []
    async with scripted(slow, slow) as (_, server):
        monkeypatch.setattr(
            server.limiter, "on_success", lambda first, _: first_tokens.append(first)
        )
        model = chat_model(server)
        await ask(model)
        repair = (*MESSAGES, Message("assistant", "Hi"), Message("user", "Not all tests pass."))
        completion = await model.complete(repair, run=1, slot=nullcontext())
    assert completion.ttft_seconds is not None
    assert first_tokens[0] is not None
    assert first_tokens[1] is None


async def test_a_local_model_is_loaded_by_an_untimed_request_for_one_token() -> None:
    loading = Script([0.5, events(chunk("Hi"), chunk(None, "length"))])
    async with scripted(loading, WHOLE) as (played, server):
        model = chat_model(server, warm_up=True)
        answers: list[Completion] = []

        async def once() -> None:
            answers.append(await ask(model))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(once)
        assert [body["max_tokens"] for body in played.bodies] == [1, 4096, 4096, 4096]
        assert [answer.text for answer in answers] == ["Hello"] * 3
        assert all(answer.requests == 1 for answer in answers)
        assert all(answer.llm_seconds < 0.4 for answer in answers)


async def test_a_model_that_cannot_be_loaded_stops_its_target() -> None:
    async with scripted(NO_MODEL) as (played, server):
        with pytest.raises(TargetError, match="model m not found"):
            await ask(chat_model(server, warm_up=True))
        assert len(played.bodies) == 1


async def test_a_warm_up_is_repeated_after_a_transient_error() -> None:
    async with scripted(BUSY, WHOLE) as (played, server):
        assert (await ask(chat_model(server, warm_up=True))).requests == 1  # those of the answer
        assert [body["max_tokens"] for body in played.bodies] == [1, 1, 4096]


async def test_the_extra_parameters_of_a_provider_are_sent_with_each_request() -> None:
    async with scripted(WHOLE) as (played, server):
        await ask(chat_model(server, extra='{"reasoning_effort": "high"}'))
        assert played.bodies[0]["reasoning_effort"] == "high"
