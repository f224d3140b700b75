"""What a server can take, as its answers tell: limits, warm-up, loaded models."""

import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import anyio
import pytest
from helpers.scripted_server import Script, chunk, events, scripted

from llmbench.errors import TargetError
from llmbench.models.chat import ChatModel
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import ModelInfo, Server
from llmbench.records import Completion, Message, Sampling, Target

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

WHOLE = Script([events(chunk("Hello"), chunk(None, "stop"))])
BUSY = Script([b'{"error": {"message": "slow down"}}'], 429, "application/json")
NO_MODEL = Script([b'{"error": {"message": "model m not found"}}'], 404, "application/json")
QUESTION = (Message("user", "Say hello."),)
QUICK = RetryPolicy(3, first_wait=0.001, longest_wait=0.002)


def model(server: Server, *, warm_up: bool = False, extra: str = "{}") -> ChatModel:
    target = Target("openrouter", "m", server.base_url, Sampling(4096, 0.2), extra)
    return ChatModel(target, server, QUICK, warm_up=warm_up)


async def ask(
    asked: ChatModel, slot: AbstractAsyncContextManager[object] | None = None
) -> Completion:
    return await asked.complete(QUESTION, run=1, slot=slot or nullcontext())


def listing(*entries: dict[str, Any]) -> Script:
    return Script([json.dumps({"data": list(entries)}).encode()], 200, "application/json")


async def test_a_refusal_for_the_rate_halves_the_slots_and_is_tried_again() -> None:
    async with scripted(BUSY, WHOLE) as (_, server):
        before = server.traffic.slots.total_tokens
        completion = await ask(model(server))
        assert (completion.text, completion.requests) == ("Hello", 2)
        assert server.traffic.slots.total_tokens == before // 2
        assert "refused once for its rate or load" in next(iter(server.traffic.limit_notes))


async def test_a_local_server_that_refuses_at_its_least_is_told_to_have_been_there() -> None:
    async with scripted(BUSY, WHOLE, provider="vllm") as (_, server):
        await ask(model(server))
        assert "down to 1 of" in next(iter(server.traffic.limit_notes))


async def test_models_of_one_server_share_its_limit() -> None:
    async with scripted(BUSY, WHOLE) as (_, server):
        one, other = model(server), model(server)
        await ask(one)
        assert list(one.limit_notes) == list(other.limit_notes) != []


async def test_the_longer_prompt_of_a_repair_tells_nothing_of_a_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Script([events(chunk("Hel")), 0.05, events(chunk("lo"), chunk(None, "stop"))])
    heard: list[float | None] = []
    async with scripted(slow, slow) as (_, server):
        monkeypatch.setattr(server.traffic, "answered", lambda first, _: heard.append(first))
        asked = model(server)
        await ask(asked)
        talk = (*QUESTION, Message("assistant", "Hi"), Message("user", "Not all tests pass."))
        completion = await asked.complete(talk, run=1, slot=nullcontext())
    assert completion.ttft_seconds is not None
    assert heard[0] is not None
    assert heard[1] is None


async def test_a_local_model_is_loaded_by_a_request_of_one_token_that_nobody_times() -> None:
    loading = Script([0.5, events(chunk("Hi"), chunk(None, "length"))])
    async with scripted(loading, WHOLE) as (played, server):
        asked = model(server, warm_up=True)
        answers: list[Completion] = []

        async def once() -> None:
            answers.append(await ask(asked))

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
            await ask(model(server, warm_up=True))
        assert len(played.bodies) == 1


async def test_a_warm_up_that_met_a_passing_fault_is_made_again() -> None:
    async with scripted(BUSY, WHOLE) as (played, server):
        assert (await ask(model(server, warm_up=True))).requests == 1  # those of the answer
        assert [body["max_tokens"] for body in played.bodies] == [1, 1, 4096]


async def test_what_a_provider_adds_is_sent_with_each_request() -> None:
    async with scripted(WHOLE) as (played, server):
        await ask(model(server, extra='{"reasoning_effort": "high"}'))
        assert played.bodies[0]["reasoning_effort"] == "high"


@pytest.mark.parametrize(
    ("provider", "scripts", "offers"),
    [
        (
            "lmstudio",
            [
                listing({"id": "a"}, {"id": "b"}),
                listing(
                    {"id": "a", "state": "loaded", "loaded_context_length": 4096},
                    {"id": "b", "state": "not-loaded", "max_context_length": 32768},
                ),
            ],
            [ModelInfo("a", None, 4096, True), ModelInfo("b", None, None, False)],
        ),
        (
            "ollama",
            [
                listing({"id": "qwen:7b"}, {"id": "phi"}),
                Script([b'{"models": [{"name": "phi"}]}'], 200, "application/json"),
            ],
            [ModelInfo("qwen:7b", None, None, False), ModelInfo("phi", None, None, True)],
        ),
        ("vllm", [listing({"id": "a", "max_model_len": 8192})], [ModelInfo("a", None, 8192, True)]),
        (
            "llamacpp",
            [listing({"id": "a", "meta": {"n_ctx_train": 512}, "status": {"value": "unloaded"}})],
            [ModelInfo("a", None, 512, False)],
        ),
        (
            "openrouter",
            [listing({"id": "a", "context_length": 9})],
            [ModelInfo("a", None, 9, None)],
        ),
    ],
)
async def test_what_a_server_has_loaded_is_told_in_its_own_way(
    provider: str, scripts: Sequence[Script], offers: list[ModelInfo]
) -> None:
    async with scripted(*scripts, provider=provider) as (played, server):
        assert await server.describe_models() == offers
        if provider == "lmstudio":
            assert played.heads[1].startswith("GET /api/v0/models ")


async def test_a_server_without_such_a_list_offers_what_it_offers() -> None:
    missing = Script([b"{}"], 404, "application/json")
    async with scripted(listing({"id": "a"}), missing, provider="lmstudio") as (_, server):
        assert await server.describe_models() == [ModelInfo("a")]
