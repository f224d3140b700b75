"""Requirements of every model, in every protocol, over real HTTP on loopback."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from helpers.chat import KEY, MESSAGES, ask, no_wait
from helpers.protocol_replies import REPLIES, Replies, refusal
from helpers.recordings import PROBLEM, RECORDING
from helpers.scripted_server import Script, ScriptedServer, scripted

from llmbench.completions import Completion
from llmbench.demo import server as replay
from llmbench.errors import ModelError, TargetError, TransientError
from llmbench.models.base import Model
from llmbench.models.protocols import PROTOCOLS, open_model
from llmbench.models.providers import PROVIDERS
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server, connect
from llmbench.records import Sampling, Target

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]


def model_of(server: Server, name: str = "m", tries: int = 1, extra: str = "{}") -> Model:
    """A model of a server, in the protocol of its provider, that retries without a wait."""
    sampling = Sampling(max_tokens=100, temperature=0.5, seed=1)
    target = Target(server.provider.name, name, server.base_url, sampling, extra)
    return open_model(target, server, RetryPolicy(tries, sleep=no_wait))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(RECORDING, encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def a_server(kind: str, folder: Path) -> AsyncIterator[tuple[Server, str]]:
    """One of the servers that the shared tests run against, and the name of its model."""
    if kind in REPLIES:
        replies = REPLIES[kind]
        async with scripted(replies.hello(0.08), provider=replies.provider) as (_, client):
            yield client, "served-model"
        return
    async with (
        replay.serve([PROBLEM], folder=folder) as server,
        connect(PROVIDERS["demo"], server.base_url) as client,
    ):
        yield client, "small"


@pytest.fixture(params=[*REPLIES, "replayed"])
async def served(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Model]:
    async with a_server(request.param, folder) as (client, name):
        yield model_of(client, name)


@pytest.fixture(params=list(REPLIES.values()), ids=list(REPLIES))
def replies(request: pytest.FixtureRequest) -> Replies:
    chosen: Replies = request.param
    return chosen


@asynccontextmanager
async def playing(
    replies: Replies, *scripts: Script, tries: int = 1, extra: str = "{}"
) -> AsyncIterator[tuple[ScriptedServer, Model]]:
    """A server of the protocol that plays these scripts, and a model of it."""
    async with scripted(*scripts, key=KEY, provider=replies.provider) as (wire, server):
        yield wire, model_of(server, tries=tries, extra=extra)


def is_hello(completion: Completion) -> bool:
    return (completion.text, completion.reasoning) == ("Hello world", "I think.")


def test_every_protocol_has_replies() -> None:
    assert REPLIES.keys() == PROTOCOLS.keys()


async def test_an_answer_has_text_reasoning_usage_and_finish_reason(served: Model) -> None:
    completion = await ask(served)
    assert is_hello(completion)
    assert completion.finish_reason in ("stop", "end_turn")
    assert not completion.truncated
    assert completion.model == served.target.model
    assert completion.requests == 1
    assert completion.usage.completion_tokens == 7
    assert completion.usage.prompt_tokens
    assert completion.usage_source == "server"


async def test_the_time_to_first_token_is_shorter_than_the_answer(served: Model) -> None:
    began = time.perf_counter()
    completion = await ask(served)
    elapsed = time.perf_counter() - began
    assert completion.ttft_seconds is not None
    assert 0.09 < completion.ttft_seconds < completion.llm_seconds
    assert completion.llm_seconds <= elapsed


async def test_a_cancelled_request_frees_its_slot_at_once(served: Model) -> None:
    slot = anyio.Semaphore(1)
    with anyio.move_on_after(0.12) as scope:
        await served.complete(MESSAGES, run=1, slot=slot)
    assert scope.cancelled_caught
    assert slot.value == 1
    again = await served.complete(MESSAGES, run=1, slot=slot)
    assert again.text == "Hello world"


async def test_concurrent_requests_do_not_mix(served: Model) -> None:
    completions = []

    async def one() -> None:
        completions.append(await ask(served))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
    assert all(map(is_hello, completions))
    assert len(completions) == 20


async def test_the_speed_is_that_after_the_first_chunk(replies: Replies) -> None:
    async with playing(replies, replies.hello(0.2)) as (_, model):
        completion = await ask(model)
    assert completion.chunks in (4, 5)  # the thought may arrive with the first piece
    assert completion.tokens_per_second is not None
    assert 2.5 < completion.tokens_per_second < 12.5


async def test_the_key_is_in_the_header_of_the_protocol_and_in_no_error(replies: Replies) -> None:
    refused = refusal({**replies.wrong_key, "key": KEY}, 401)
    async with playing(replies, refused) as (wire, model):
        with pytest.raises(TargetError) as caught:
            await ask(model)
    assert f"POST {replies.path} " in wire.heads[0]
    assert f"\r\n{replies.key_header}{KEY}\r\n".lower() in f"{wire.heads[0]}\r\n".lower()
    assert KEY not in str(caught.value)


async def test_sampling_and_messages_are_sent_and_extra_fields_added(replies: Replies) -> None:
    extra = json.dumps({"options": {"num_ctx": 8192}, "think": False})
    async with playing(replies, replies.hello(), extra=extra) as (wire, model):
        completion = await ask(model, run=3)
    (body,) = wire.bodies
    sent = {**body, **body["options"]}
    assert (sent.get("max_tokens") or sent["num_predict"], sent["temperature"]) == (100, 0.5)
    assert ("seed" in sent) != ("seed" in completion.unsupported_params)
    assert sent.get("seed", 3) == 3
    assert (sent["model"], sent["stream"], sent["num_ctx"], sent["think"]) == (
        "m", True, 8192, False,
    )  # fmt: skip
    texts = [message["content"] for message in body["messages"]]
    assert [*([body["system"]] if "system" in body else []), *texts] == [
        message.content for message in MESSAGES
    ]


async def test_an_answer_that_is_not_streamed_has_no_time_to_first_token(replies: Replies) -> None:
    refused = refusal({"error": {"message": "stream is not supported", "param": "stream"}}, 400)
    whole = refusal(replies.whole, 200)
    async with playing(replies, refused, whole) as (wire, model):
        completion = await ask(model)
    assert is_hello(completion)
    assert completion.ttft_seconds is completion.chunks is completion.tokens_per_second is None
    assert [body["stream"] for body in wire.bodies] == [True, False]
    assert completion.usage.completion_tokens == 7


async def test_a_refused_parameter_is_left_out(replies: Replies) -> None:
    if replies.provider == "ollama":
        pytest.skip("Ollama ignores options that it does not know")
    text = "`temperature` is deprecated for this model."
    refused = refusal({"error": {"type": "invalid_request_error", "message": text}}, 400)
    async with playing(replies, refused, replies.hello()) as (wire, model):
        completion = await ask(model)
    assert "temperature" in completion.unsupported_params
    assert ["temperature" in body for body in wire.bodies] == [True, False]


async def test_a_busy_server_is_asked_again(replies: Replies) -> None:
    busy = refusal(replies.busy, 503 if replies.provider == "ollama" else 429, "Retry-After: 0")
    async with playing(replies, busy, replies.hello(), tries=2) as (_, model):
        completion = await ask(model)
    assert is_hello(completion)
    assert completion.requests == 2


@pytest.mark.parametrize("fault", ["an error", "no end", "a reset", "half an event"])
async def test_an_answer_that_breaks_off_is_asked_for_again(replies: Replies, fault: str) -> None:
    parts = [*replies.start, replies.thought, replies.pieces[0]]
    last = {"an error": replies.broken, "half an event": replies.pieces[1][:-12]}.get(fault, b"")
    broken = replies.script(*parts, last, cut=fault == "a reset")
    async with playing(replies, broken, replies.hello(), tries=2) as (_, model):
        completion = await ask(model)
        assert is_hello(completion)
        assert completion.requests == 2
    async with playing(replies, broken) as (_, model):
        with pytest.raises(TransientError):
            await ask(model)


async def test_an_answer_at_the_token_limit_is_truncated(replies: Replies) -> None:
    cut = replies.script(*replies.start, replies.pieces[0], *replies.cut)
    async with playing(replies, cut) as (_, model):
        assert (await ask(model)).truncated


async def test_an_unknown_model_stops_the_target(replies: Replies) -> None:
    async with playing(replies, refusal(replies.unknown_model, 404)) as (_, model):
        with pytest.raises(TargetError, match="--model"):
            await ask(model)


ODD: list[Any] = [None, True, 7, "text", [], {}, [None], {"type": "text"}, 1e400, "\ud800"]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: ascii(odd)[:20])
async def test_odd_values_are_no_answer_or_a_model_error(replies: Replies, odd: object) -> None:
    async def outcome(parts: list[bytes]) -> Completion | ModelError:
        async with playing(replies, replies.script(*parts)) as (_, model):
            try:
                return await ask(model)
            except ModelError as error:
                return error

    parts = [*replies.start, replies.thought, *replies.pieces, *replies.end]
    for index, part in enumerate(parts):
        for data in _with_odd_value(part, odd):
            result = await outcome([*parts[:index], data, *parts[index + 1 :]])
            assert isinstance(result, (Completion, ModelError))


def _with_odd_value(part: bytes, odd: object) -> list[bytes]:
    """Return an event of a single line with an odd value in place of each of its own."""
    begin, end = part.find(b"{"), part.rfind(b"}") + 1
    try:
        value = json.loads(part[begin:end])
    except ValueError:  # several events, or none
        return []
    return [part[:begin] + json.dumps(value | {name: odd}).encode() + part[end:] for name in value]
