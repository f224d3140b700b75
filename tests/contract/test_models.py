"""What every model client owes the engine, over real HTTP on loopback."""

import gc
import gzip
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from scripted_server import HELLO, Script, chunk, event, events, scripted

from llmbench.config import TimeLimits
from llmbench.errors import AttemptError, ModelError, TargetError, TransientError, UsageError
from llmbench.models import recorded
from llmbench.models.base import Model
from llmbench.models.chat import ChatModel
from llmbench.models.presets import PRESETS
from llmbench.models.pricing import Price
from llmbench.models.retry import Retries
from llmbench.models.server import Offer, Server, choose_model, connect
from llmbench.records import Completion, Message, Problem, Sampling, Target, Usage

pytestmark = pytest.mark.anyio

KEY = "sk-or-v1-do-not-print-me"
ASK = (Message("system", "Be brief."), Message("user", "Say hello world."))
PROBLEM = Problem(
    "greet", "x", "Say hello world.", {"t": ""}, reference="a\nb\n", wrong={"off": "c\n"}
)
RECORDING = """
model: small
description: answers for tests
tokens_per_second: 100
ttft_seconds: 0.1
answers:
  greet:
    - text: Hello world
      reasoning: I think.
    - text: "Second: {{wrong:off}}"
      repairs:
        - text: "Third: {{reference}}"
        - text: Fourth
  other:
    - text: never shown
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(RECORDING, encoding="utf-8")
    return tmp_path


async def no_wait(_: float) -> None:
    await anyio.lowlevel.checkpoint()


def model_of(server: Server, model: str = "m", tries: int = 1, **sampling: Any) -> ChatModel:
    target = Target(server.preset.name, model, server.base_url, Sampling(**sampling))
    return ChatModel(target, server, Retries(attempts=tries, sleep=no_wait))


async def ask(model: Model, run: int = 1) -> Completion:
    return await model.complete(ASK, run=run, slot=anyio.Semaphore(1))


async def answer_to(*scripts: Script, tries: int = 1, **options: Any) -> Completion:
    async with scripted(*scripts, **options) as (_, server):
        return await ask(model_of(server, tries=tries))


@asynccontextmanager
async def a_server(kind: str, folder: Path) -> AsyncIterator[tuple[Server, str]]:
    """Each server that the shared cases run against, and a model it has."""
    if kind == "scripted":
        pauses: list[bytes | float] = [
            0.1,
            event(chunk(None, role="assistant", reasoning_content="I think.")),
            event(chunk("Hello")),
            0.05,
            event(chunk(" world")),
            event(chunk(None, "stop")),
            event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 7}}),
            b"data: [DONE]\n\n",
        ]
        async with scripted(Script(pauses)) as (_, client):
            yield client, "served-model"
        return
    async with (
        recorded.serve([PROBLEM], folder=folder) as server,
        connect(PRESETS["demo"], server.base_url) as client,
    ):
        yield client, "small"


@pytest.fixture(params=["scripted", "recorded"])
async def served(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[ChatModel]:
    async with a_server(request.param, folder) as (client, name):
        yield model_of(client, name, seed=1)


# What holds for every server


async def test_an_answer_comes_whole_with_reasoning_usage_and_finish_reason(
    served: ChatModel,
) -> None:
    completion = await ask(served)
    assert completion.text == "Hello world"
    assert completion.reasoning == "I think."
    assert completion.finish_reason == "stop"
    assert not completion.truncated
    assert completion.model == served.target.model
    assert completion.tries == 1
    assert completion.usage.completion_tokens == 7
    assert completion.usage.prompt_tokens


async def test_the_clock_tells_the_first_token_from_the_last(served: ChatModel) -> None:
    began = time.perf_counter()
    completion = await ask(served)
    took = time.perf_counter() - began
    assert completion.ttft_seconds is not None
    assert 0.09 < completion.ttft_seconds < completion.llm_seconds
    assert completion.llm_seconds <= took
    assert completion.tokens_per_second is not None


async def test_a_cancelled_request_frees_its_slot_at_once(served: ChatModel) -> None:
    slot = anyio.Semaphore(1)
    with anyio.move_on_after(0.12) as scope:
        await served.complete(ASK, run=1, slot=slot)
    assert scope.cancelled_caught
    assert slot.value == 1
    again = await served.complete(ASK, run=1, slot=slot)
    assert again.text == "Hello world"


async def test_requests_at_the_same_time_do_not_mix(served: ChatModel) -> None:
    got = []

    async def one() -> None:
        got.append(await ask(served))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
    assert {(c.text, c.reasoning) for c in got} == {("Hello world", "I think.")}
    assert len(got) == 20


# The protocol as servers speak it

FORMS: dict[str, Script] = {
    "plain": Script([HELLO]),
    "one byte at a time": Script([HELLO[i : i + 1] for i in range(len(HELLO))]),
    "carriage returns": Script([HELLO.replace(b"\n", b"\r\n")]),
    "no blank after the colon": Script([HELLO.replace(b"data: ", b"data:")]),
    "keep-alive comments": Script(
        [b": OPENROUTER PROCESSING\n\n" + HELLO.replace(b"data: {", b": ping\n\ndata: {")]
    ),
    "named events": Script([HELLO.replace(b"data: {", b"event: message\ndata: {")]),
    "data over several lines": Script(
        [HELLO.replace(b'data: {"object"', b'data: {\ndata: "object"')]
    ),
    "no DONE": Script([HELLO.removesuffix(b"data: [DONE]\n\n")]),
    "no blank line at the end": Script([HELLO.removesuffix(b"\n\n")]),
    "DONE without a finish reason": Script([events(chunk("Hello"), chunk(" world"))]),
    "dropped after the finish reason": Script([HELLO[:-14]], cut=True),
    "ended by closing": Script([HELLO], chunked=False),
    "null and empty deltas": Script(
        [
            events(
                {"choices": []},
                {"choices": None},
                {"choices": [{"index": 0, "delta": None}]},
                {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
                chunk("Hello"),
                chunk("", tool_calls=None),
                chunk(" world"),
                chunk(None, "stop"),
            )
        ]
    ),
    "usage null in every chunk": Script(
        [events(*({**chunk(text), "usage": None} for text in ("Hello", " world")))]
    ),
    "content in typed parts": Script(
        [
            events(
                chunk([{"type": "text", "text": "Hello"}]),
                chunk([{"type": "text", "text": " world"}], "stop"),
            )
        ]
    ),
    "not streamed": Script(
        [
            json.dumps(
                {
                    "model": "served-model",
                    "choices": [
                        {"message": {"content": "Hello world"}, "finish_reason": "stop"},
                    ],
                }
            ).encode()
        ],
        content_type="application/json",
    ),
    "compressed": Script([gzip.compress(HELLO)], headers=["Content-Encoding: gzip"]),
    "another content type": Script([HELLO], content_type="text/plain"),
    "kept open after DONE": Script([HELLO, 30.0]),
    "the whole message beside each delta": Script(
        [
            events(
                *(
                    {"choices": [{"delta": delta, "message": {"content": "Hello world"}}]}
                    for delta in ({"content": "Hello"}, {"content": " world"}, {})
                )
            )
        ]
    ),
}


@pytest.mark.parametrize("form", FORMS)
async def test_an_answer_is_read_in_every_form_that_servers_give_it(form: str) -> None:
    with anyio.fail_after(3):
        completion = await answer_to(FORMS[form])
    assert completion.text == "Hello world"
    assert completion.finish_reason in ("stop", None)
    assert completion.llm_seconds < 0.5


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
async def test_a_character_cut_in_two_by_the_network_is_whole_again(size: int) -> None:
    stream = events(chunk("naïve "), chunk("日本 🎉"), chunk(None, "stop"))
    parts = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert (await answer_to(Script(parts))).text == "naïve 日本 🎉"


async def test_a_character_escaped_in_two_halves_is_whole_again() -> None:
    halves = [rb"a\ud83c", rb"\udf89b"]
    stream = b"".join(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % h for h in halves)
    assert (await answer_to(Script([stream, b"data: [DONE]\n\n"]))).text == "a🎉b"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_kept_apart_and_its_first_token_counts(name: str) -> None:
    script = Script(
        [
            event(chunk(None, role="assistant")),
            0.1,
            event(chunk(None, **{name: "Hm. "})),
            event(chunk(None, **{name: "So."})),
            0.4,
            events(chunk("42"), chunk(None, "stop")),
        ]
    )
    completion = await answer_to(script)
    assert (completion.reasoning, completion.text) == ("Hm. So.", "42")
    assert completion.ttft_seconds is not None
    assert 0.09 < completion.ttft_seconds < 0.4
    assert 0.49 < completion.llm_seconds < 2


async def test_a_refusal_is_the_text_of_the_answer() -> None:
    stream = events(chunk(None, refusal="I ca"), chunk(None, refusal="n't."), chunk(None, "stop"))
    completion = await answer_to(Script([stream]))
    assert completion.text == "I can't."
    assert completion.ttfa_seconds is not None


async def test_reasoning_in_typed_parts_is_kept_apart() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    completion = await answer_to(Script([events(chunk(parts), chunk("42"))]))
    assert (completion.reasoning, completion.text) == ("Hm.", "42")


async def test_all_counts_and_the_cost_are_taken_from_the_last_usage() -> None:
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": 22,
        "completion_tokens_details": {"reasoning_tokens": 5},
        "prompt_tokens_details": {"cached_tokens": 4},
        "cost": 0.00123,
    }
    early = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    last = {"choices": [], "usage": usage}
    completion = await answer_to(Script([events(early, chunk("x", "stop"), last)]))
    assert completion.usage == Usage(11, 22, 5, 4)
    assert completion.cost_usd == 0.00123

    assert completion.usage_source == "server"


async def test_what_the_server_does_not_count_is_estimated_and_said_to_be() -> None:
    completion = await answer_to(Script([HELLO]))
    asked = sum(len(message.content) for message in ASK)
    assert completion.usage == Usage(-(-asked // 4), 3, None, None)  # "Hello world" is 11 bytes
    assert completion.usage_source == "estimated"
    assert completion.cost_usd is None


async def test_an_answer_whose_cost_the_server_does_not_tell_costs_tokens_times_prices() -> None:
    counts = {"prompt_tokens": 100, "completion_tokens": 10}
    lasts: list[dict[str, Any]] = [
        {"choices": [], "usage": usage} for usage in (counts, counts | {"cost": 0.5})
    ]
    scripts = [Script([events(chunk("x", "stop"), last)]) for last in lasts]
    async with scripted(*scripts) as (_, server):
        model = ChatModel(model_of(server).target, server, price=Price(1e-4, 1e-3))
        assert (await ask(model)).cost_usd == pytest.approx(0.02)
        assert (await ask(model)).cost_usd == 0.5


@pytest.mark.parametrize(
    ("told", "cost"), [({"cost": 0.25}, 0.25), ({}, 0.02)], ids=["told", "of tokens and price"]
)
async def test_what_failed_tries_cost_is_added_as_far_as_the_server_told(
    told: dict[str, float], cost: float
) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, **told}
    last = {"choices": [], "usage": usage}
    failing = Script([events(chunk("x", "error"), last)])
    silent = Script([event(chunk("x"))], cut=True)
    whole = Script([events(chunk("x", "stop"), last)])
    withheld = Script([events(chunk("x", "content_filter"), last)])
    async with scripted(failing, silent, whole, failing, withheld, failing) as (_, server):
        target = model_of(server).target
        model = ChatModel(target, server, Retries(3, sleep=no_wait), Price(1e-4, 1e-3))
        completion = await ask(model)
        assert completion.tries == 3
        assert completion.cost_usd == pytest.approx(2 * cost)
        assert completion.usage.prompt_tokens == 100  # of the final try alone
        for kind, requests in ((AttemptError, 2), (TransientError, 3)):
            with pytest.raises(kind) as caught:
                await ask(model)
            assert caught.value.requests == requests
            assert caught.value.cost_usd == pytest.approx(requests * cost)


async def test_the_prices_that_a_server_tells_come_with_its_models() -> None:
    pricing = {"prompt": "0.000003", "completion": "0.000015"}
    body = {"data": [{"id": "a", "pricing": pricing}, {"id": "b"}]}
    async with scripted(Script([json.dumps(body).encode()], 200, JSON)) as (_, server):
        offers = await server.list_models()
    assert offers == [Offer("a", Price(3e-6, 15e-6)), Offer("b")]


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        (
            {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 94}},
            (103, 94),
        ),
        ({"completion_tokens": 9}, (103, 94)),  # nor does it say what the rest is
        ({"completion_tokens": 103}, (103, None)),
        (
            {"completion_tokens": 103, "completion_tokens_details": {"reasoning_tokens": 94}},
            (103, 94),
        ),
    ],
)
async def test_reasoning_that_is_counted_beside_the_answer_is_counted_into_it(
    told: dict[str, Any], counts: tuple[int, int | None]
) -> None:
    usage = {"prompt_tokens": 32, "total_tokens": 135, **told}
    last = {"choices": [], "usage": usage}
    completion = await answer_to(Script([events(chunk("x", "stop"), last)]))
    assert completion.usage == Usage(32, *counts)
    assert completion.usage_source == "server"


async def test_a_count_of_nothing_for_some_text_is_no_count() -> None:
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    completion = await answer_to(Script([events(chunk("Hello", "stop"), {"usage": nothing})]))
    assert (completion.usage.completion_tokens, completion.usage_source) == (2, "estimated")
    assert completion.usage.prompt_tokens


async def test_a_count_that_the_server_gives_is_kept_beside_one_that_is_estimated() -> None:
    half = {"choices": [], "usage": {"completion_tokens": 999}}
    completion = await answer_to(Script([events(chunk("x", "stop"), half)]))
    assert completion.usage.completion_tokens == 999
    assert completion.usage.prompt_tokens
    assert completion.usage_source == "estimated"


async def test_who_a_router_says_gave_the_answer_is_kept() -> None:
    completion = await answer_to(Script([events(chunk("x", "stop") | {"provider": "Fast Inc"})]))
    assert (completion.model, completion.provider) == ("served-model", "Fast Inc")


@pytest.mark.parametrize(
    "thought",
    [
        event(chunk(None, reasoning_content="Hm.")),
        event(chunk("<think>Hm.")),
        event(chunk("<thi")) + event(chunk("nk>Hm.")),
    ],
)
async def test_the_first_token_of_the_answer_is_timed_apart_from_thoughts(thought: bytes) -> None:
    end = b"" if b"reasoning_content" in thought else event(chunk("</think>\n\n"))
    script = Script([thought, 0.3, end + event(chunk("42")), 0.2, events(chunk(None, "stop"))])
    completion = await answer_to(script)
    assert completion.ttft_seconds is not None
    assert completion.ttfa_seconds is not None
    assert completion.ttft_seconds < 0.2 < 0.29 < completion.ttfa_seconds
    assert completion.ttfa_seconds < completion.llm_seconds - 0.15


async def test_an_answer_that_came_in_one_piece_has_no_time_to_first_token() -> None:
    assert (await answer_to(FORMS["not streamed"])).ttft_seconds is None


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "model_length"])
async def test_an_answer_cut_at_the_token_limit_says_so(reason: str) -> None:
    completion = await answer_to(Script([events(chunk("x", reason))]))
    assert completion.truncated
    assert completion.finish_reason == reason


@pytest.mark.parametrize(
    "sign",
    [
        {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
        {"function_call": {"arguments": "{"}},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
    ],
)
async def test_deltas_without_text_keep_an_answer_alive(sign: dict[str, Any]) -> None:
    parts: list[bytes | float] = [event(chunk(None, **sign)), 0.1] * 6
    script = Script([*parts, events(chunk(None, "tool_calls"))])
    completion = await answer_to(script, first_token=0.3, between_tokens=0.3)
    assert (completion.text, completion.finish_reason) == ("", "tool_calls")
    assert completion.ttft_seconds is not None
    assert completion.ttft_seconds < 0.3 < completion.llm_seconds
    assert completion.ttfa_seconds is None


# What is sent


async def test_only_the_sampling_parameters_that_were_asked_for_are_sent() -> None:
    async with scripted(Script([HELLO]), key=KEY) as (wire, server):
        await ask(model_of(server))
        await ask(model_of(server, max_tokens=9, temperature=0.0, seed=5), run=3)
    plain, full = wire.bodies
    assert plain == {
        "model": "m",
        "messages": [message._asdict() for message in ASK],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert (full["max_tokens"], full["temperature"], full["seed"]) == (9, 0.0, 7)
    assert wire.heads[0].startswith("POST /v1/chat/completions HTTP/1.1")
    assert f"authorization: bearer {KEY}" in wire.heads[0].lower()
    assert KEY not in json.dumps(wire.bodies)


async def test_a_connection_read_to_its_end_is_used_again() -> None:
    async with scripted(Script([HELLO, 0.05])) as (wire, server):
        for _ in range(5):
            await ask(model_of(server))
    assert wire.connections == 1


async def test_no_pool_of_connections_bounds_what_the_slots_allow() -> None:
    async with scripted(Script([event(chunk("Hel")), 30.0])) as (wire, server):
        model = model_of(server)
        async with anyio.create_task_group() as tasks:
            for _ in range(120):
                tasks.start_soon(ask, model)
            with anyio.fail_after(5):
                while wire.connections < 120:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()


def refusal(message: str, param: str, status: int = 400) -> Script:
    body = {"error": {"message": message, "param": param, "code": "unsupported_parameter"}}
    return Script([json.dumps(body).encode()], status=status, content_type="application/json")


async def test_a_parameter_that_the_server_refuses_is_learned_once_and_remembered() -> None:
    async with scripted(
        refusal("Extra inputs are not permitted", "stream_options", 422),
        refusal("Unsupported parameter: use 'max_completion_tokens' instead.", "max_tokens"),
        refusal("Unsupported value: 'temperature' does not support 0.2", "temperature"),
        Script([HELLO]),
    ) as (wire, server):
        model = model_of(server, max_tokens=9, temperature=0.2)
        first, second = await ask(model), await ask(model)
        assert (first.tries, second.tries) == (4, 1)
        assert first.unsent == second.unsent == ("temperature", "seed")
    assert wire.bodies[3] == wire.bodies[4]
    assert wire.bodies[3]["max_completion_tokens"] == 9
    assert not {"stream_options", "max_tokens", "temperature"} & set(wire.bodies[3])
    assert model.learned == {
        "stream_options": None,
        "max_tokens": "max_completion_tokens",
        "temperature": None,
    }


# What goes wrong

JSON = "application/json"


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        (Script([b"{}"], 401, JSON), TargetError, "check OPENROUTER_API_KEY"),
        (Script([b"no"], 429, headers=["Retry-After: 7"]), TransientError, "HTTP 429: no"),
        (Script([b"<title>Bad Gateway</title>"], 502), TransientError, "Bad Gateway"),
        (Script([HELLO[:120]], cut=True), TransientError, "broke"),
        (Script([events(chunk("Hel"), done=False)]), TransientError, "ended before the answer"),
        (Script([]), TransientError, "sent an empty stream: its own log may say why"),
        (Script([b"data: [DONE]\n\n"]), TransientError, "sent no answer"),
        (Script([b"HTTP/1.1 200 OK\r\nContent-Le"], raw=True), TransientError, "without an answer"),
        (Script([b"SSH-2.0-OpenSSH\r\n\r\n"], raw=True), TransientError, "broke"),
        (Script([b""], raw=True), TransientError, "without an answer"),
        (Script([events(chunk("x", "error"))]), TransientError, "finish_reason error"),
        (
            Script([events(chunk("x", "insufficient_system_resource"))]),
            TransientError,
            "finish_reason insufficient_system_resource",
        ),
        (Script([events(chunk("x", "content_filter"))]), AttemptError, "withheld"),
        (Script([events(chunk("x", "PROHIBITED_CONTENT"))]), AttemptError, "withheld"),
        (
            Script([events(chunk("x"), {"error": {"code": 502, "message": "down"}})]),
            TransientError,
            "error 502: down",
        ),
        (
            Script([events({"error": {"code": "context_length_exceeded", "message": "long"}})]),
            AttemptError,
            "allow a longer context",
        ),
        (
            Script([events(chunk("x"), {"object": "error", "code": 500, "message": "CUDA"})]),
            TransientError,
            "error 500: CUDA",
        ),
        (
            Script([event(chunk("x")), b'error: {"code": 400, "message": "context size"}\n\n']),
            AttemptError,
            "error 400: context size",
        ),
        (Script([b'{"error": "Model not loaded"}'], 200, JSON), TransientError, "not loaded"),
        (
            Script([b'{"status": "ok"}'], 200, JSON),
            TargetError,
            "sent JSON, which is no chat completion; check --base-url",
        ),
        (Script([b"<html>Hi</html>"], 200, "text/html"), TargetError, "text/html"),
        (Script([b"data: [1, 2]\n\n"]), TransientError, "no chat completion chunk"),
        (Script([b'data: {"choices": 3}\n\n']), TransientError, "no chat completion chunk"),
        (Script([b"data: {oh\n\n"]), TransientError, "no chat completion chunk: {oh"),
        (Script([b"data: \xff\n\n"]), TransientError, "no chat completion chunk"),
        (Script([b"junk"], headers=["Content-Encoding: gzip"]), TransientError, "broke"),
        (Script([b""], 302, headers=["Location: https://else.example/v1"]), TargetError, "else."),
        (Script([event(chunk("x")), 5.0]), TransientError, "no further token for 0.2 s"),
        (Script([5.0]), TransientError, "no token within 0.3 s"),
    ],
)
async def test_what_goes_wrong_is_sorted_told_in_one_line_and_holds_no_key(
    script: Script, kind: type[ModelError], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(ModelError) as caught:
        await answer_to(script, key=KEY, first_token=0.3, between_tokens=0.2)
    fault = caught.value
    assert type(fault) is kind
    assert says in str(fault)
    assert "openrouter/m" in str(fault)
    assert str(fault).isprintable()
    assert len(str(fault)) < 400
    seen: BaseException | None = fault
    while seen is not None:
        assert KEY not in f"{seen} {seen!r}"
        seen = seen.__cause__ or seen.__context__
    assert KEY not in caplog.text


async def test_a_key_in_a_servers_error_goes_no_further() -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key: {KEY}"}}).encode()
    for script in (
        Script([body], 401, JSON),
        Script([body], 500, JSON),
        Script([b"data: " + body + b"\n\n"]),
        Script([f"data: {KEY}\n\n".encode()]),
        Script([f"HTTP/1.1 {KEY}\r\n\r\n".encode()], raw=True),
    ):
        async with scripted(script, key=KEY) as (_, server):
            model = model_of(server)
            with pytest.raises(ModelError) as caught:
                await ask(model)
            assert KEY not in f"{caught.value} {caught.value!r} {server!r} {model!r}"
            assert KEY not in repr(vars(model))
            assert KEY not in repr(server.client.headers)


async def test_retry_after_reaches_the_retry() -> None:
    with pytest.raises(TransientError) as caught:
        await answer_to(Script([b""], 503, headers=["Retry-After: 7"]))
    assert caught.value.retry_after == 7


async def test_keep_alives_are_no_tokens_and_do_not_stretch_a_time_limit() -> None:
    alive: list[bytes | float] = [b": OPENROUTER PROCESSING\n\n", 0.05] * 40
    with anyio.fail_after(1.5), pytest.raises(TransientError, match=r"no token within 0\.3 s"):
        await answer_to(Script(alive), first_token=0.3)
    with anyio.fail_after(1.5), pytest.raises(TransientError, match=r"token for 0\.3 s"):
        await answer_to(Script([event(chunk("x")), *alive]), between_tokens=0.3)


async def test_a_first_token_may_take_longer_than_any_other() -> None:
    completion = await answer_to(Script([0.5, HELLO]), first_token=2.0, between_tokens=0.1)
    assert completion.text == "Hello world"


async def test_an_answer_that_goes_on_for_ever_is_ended_and_not_asked_again() -> None:
    endless: list[bytes | float] = [event(chunk("x")), 0.02] * 200
    async with scripted(Script(endless), answer=0.4) as (server, client):
        with anyio.fail_after(1.5), pytest.raises(AttemptError, match=r"--answer-timeout"):
            await ask(model_of(client, tries=3))
        with anyio.fail_after(1):
            await server.left_early.wait()
    assert len(server.bodies) == 1


async def test_an_answer_whose_end_is_left_open_is_whole_once_it_said_why_it_ended() -> None:
    script = Script([events(chunk("x"), chunk(None, "stop"), done=False), 5.0])
    completion = await answer_to(script, between_tokens=0.2)
    assert (completion.text, completion.finish_reason) == ("x", "stop")
    assert completion.llm_seconds < 0.15  # without the wait for an end that never came


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", ["X-RateLimit-Remaining-Requests: 0", "X-RateLimit-Reset-Requests: 1m30s"]),
        (
            b'{"error": {"code": 429, "message": "slow down",'
            b' "metadata": {"headers": {"X-RateLimit-Reset": "90"}}}}',
            [],
        ),
        (
            b'[{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED",'
            b' "details": [{"@type": "Help"}, {"@type": "RetryInfo", "retryDelay": "90s"}]}}]',
            [],
        ),
    ],
)
async def test_the_reset_of_a_rate_limit_reaches_the_retry(body: bytes, headers: list[str]) -> None:
    with pytest.raises(TransientError) as caught:
        await answer_to(Script([body], 429, JSON, headers))
    assert caught.value.retry_after == 90


async def test_a_stream_that_dies_after_its_first_token_is_asked_again_and_counted() -> None:
    dying = Script([event(chunk("Hel")), 0.3], cut=True)
    completion = await answer_to(dying, dying, Script([HELLO]), tries=5)
    assert completion.text == "Hello world"
    assert completion.tries == 3
    assert completion.llm_seconds < 0.3  # of the last try alone


async def test_when_every_try_fails_the_error_says_how_many_there_were() -> None:
    with pytest.raises(TransientError, match=r"HTTP 503.*\(after 3 tries\)"):
        await answer_to(Script([b""], 503), tries=3)


async def test_a_target_that_gives_only_passing_faults_for_long_is_given_up() -> None:
    down, up, filtered = Script([b""], 503), Script([HELLO]), Script([b"flagged"], 400)
    scripts = [down, down, up, down, down, filtered, down, down, down]
    async with scripted(*scripts) as (_, server):
        retries = Retries(1, sleep=no_wait, lost_attempts=3, lost_seconds=0.05)
        model = ChatModel(model_of(server).target, server, retries)
        told = []
        for script in scripts:
            try:
                await anyio.sleep(0.03)
                await ask(model)
            except ModelError as fault:
                told.append(type(fault))
                last = fault
            else:
                assert script is up
    assert told == [TransientError] * 4 + [AttemptError] + [TransientError] * 2 + [TargetError]
    assert str(last).endswith("no answer came for 0 minutes: go on later with --resume")
    assert last.requests == 1


async def test_a_short_outage_gives_up_no_target() -> None:
    async with scripted(Script([b""], 503)) as (_, server):
        retries = Retries(1, sleep=no_wait, lost_attempts=3, lost_seconds=60)
        model = ChatModel(model_of(server).target, server, retries)
        for _ in range(9):
            with pytest.raises(TransientError):
                await ask(model)


async def test_the_slot_is_free_while_a_retry_waits() -> None:
    slot = anyio.Semaphore(1)
    free = []

    async def wait(_: float) -> None:
        free.append(slot.value)

    async with scripted(Script([b""], 503), Script([HELLO])) as (_, server):
        model = ChatModel(model_of(server).target, server, Retries(sleep=wait))
        await model.complete(ASK, run=1, slot=slot)
    assert free == [1]


async def test_a_cancelled_stream_closes_its_connection() -> None:
    slot = anyio.Semaphore(1)
    async with scripted(Script([event(chunk("Hel")), 30.0, HELLO])) as (wire, server):
        model = model_of(server, tries=5)
        with anyio.move_on_after(0.2) as scope:
            await model.complete(ASK, run=1, slot=slot)
        assert scope.cancelled_caught
        assert slot.value == 1
        with anyio.fail_after(1):
            await wire.left_early.wait()
        assert len(wire.heads) == 1
    gc.collect()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_server_that_is_not_there_is_told_in_one_line_within_a_second(
    closed_port: int,
) -> None:
    url = f"http://localhost:{closed_port}/v1"
    began = time.perf_counter()
    async with connect(PRESETS["lmstudio"], url) as server:
        with pytest.raises(TransientError) as caught:
            await server.list_models()
        with pytest.raises(TransientError, match=f"cannot reach {url}"):
            await ask(model_of(server))
    async with connect(PRESETS["ollama"], "http://nowhere.invalid:1/v1") as server:
        with pytest.raises(TransientError, match=r"cannot reach .*: no such host; check --base-"):
            await server.list_models()
    hint = "start LM Studio's server (Developer tab), or give --base-url"
    assert str(caught.value) == f"cannot reach {url}: {hint}"
    assert time.perf_counter() - began < 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue takes more")
async def test_a_server_that_takes_no_connection_is_not_waited_for_long() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # its queue is full now
            began = time.perf_counter()
            waits = TimeLimits(connect=0.2, first_token=30.0)
            async with connect(PRESETS["vllm"], f"http://127.0.0.1:{port}", limits=waits) as server:
                with pytest.raises(TransientError, match=r"cannot reach .*: start vLLM"):
                    await ask(model_of(server))
            assert time.perf_counter() - began < 5


async def test_a_connection_that_cannot_be_trusted_stops_the_target() -> None:
    async def speak_plainly(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, speak_plainly)
        async with connect(PRESETS["openai"], f"https://127.0.0.1:{port}", KEY) as server:
            with pytest.raises(TargetError, match=r"no trusted connection.*check --base-url"):
                await ask(model_of(server))
        tasks.cancel_scope.cancel()


async def test_a_local_server_that_wants_a_key_is_told_how_to_get_one() -> None:
    with pytest.raises(TargetError, match="set OPENAI_COMPATIBLE_API_KEY and use --provider"):
        await answer_to(Script([b"{}"], 401, JSON), provider="ollama")


async def test_a_proxy_is_never_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await answer_to(Script([HELLO]))).text == "Hello world"


# What a server offers


async def models_in(body: Any, status: int = 200) -> list[str]:
    script = Script([json.dumps(body).encode()], status, JSON)
    async with scripted(script, key=KEY) as (wire, server):
        offers = await server.list_models()
    assert wire.heads[0].startswith("GET /v1/models HTTP/1.1")
    return [offer.id for offer in offers]


async def test_models_that_cannot_chat_are_left_out() -> None:
    ids = ["qwen2.5-coder", "text-embedding-nomic", "bge-m3", "whisper-1", "gpt-4o", "tts-1"]
    assert await models_in({"data": [{"id": id_} for id_ in ids]}) == ["qwen2.5-coder", "gpt-4o"]


async def test_what_a_server_declares_counts_more_than_a_name() -> None:
    data = [
        {"id": "a", "type": "embeddings"},
        {"id": "whisper-chat", "type": "llm"},
        {"id": "b", "capabilities": {"completion_chat": False}},
        {"id": "c", "architecture": {"output_modalities": ["image"]}},
        {"id": "flux-chat", "architecture": {"output_modalities": ["text"]}},
    ]
    assert await models_in(data) == ["whisper-chat", "flux-chat"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>", "text/html"),
        (b'{"status": "ok"}', JSON),
        (b'{"models": [{"key": "of another API"}]}', JSON),
        (b'{"data": [3]}', JSON),
        (b'"hello"', JSON),
        (b"3", JSON),
        (b"", JSON),
    ],
)
async def test_what_is_no_list_of_models_is_told_as_such(body: bytes, kind: str) -> None:
    async with scripted(Script([body], content_type=kind)) as (_, server):
        with pytest.raises(TargetError, match=f"sent {kind}, which is no list of models; check"):
            await server.list_models()


async def test_a_refused_list_names_the_key_variable() -> None:
    with pytest.raises(TargetError, match="check OPENROUTER_API_KEY"):
        await models_in({"error": {"message": "no"}}, 401)


def test_the_only_model_is_chosen_and_several_are_listed() -> None:
    assert choose_model(["a"], "u") == "a"
    with pytest.raises(UsageError, match=r"u offers no chat model.*--model NAME"):
        choose_model([], "u")
    with pytest.raises(UsageError, match=r"2 models: choose with --model NAME from a, b$"):
        choose_model(["a", "b"], "u")
    with pytest.raises(UsageError, match="and 80 more"):
        choose_model([str(n) for n in range(100)], "u")


# Recorded answers


@asynccontextmanager
async def demo(
    folder: Path, pace: float = 0
) -> AsyncIterator[tuple[recorded.RecordedServer, Server]]:
    async with (
        recorded.serve([PROBLEM], pace=pace, folder=folder) as server,
        connect(PRESETS["demo"], server.base_url) as client,
    ):
        yield server, client


async def test_the_seed_chooses_the_recorded_answer_and_each_request_is_counted(
    folder: Path,
) -> None:
    async with demo(folder) as (server, client):
        model = model_of(client, "small", seed=1)
        texts = [(await ask(model, run)).text for run in (1, 2, 3, 1)]
    assert texts == ["Hello world", "Second: c", "Hello world", "Hello world"]
    assert server.requests == {
        ("small", "greet", 1, 1): 2,
        ("small", "greet", 2, 1): 1,
        ("small", "greet", 3, 1): 1,
    }


async def test_without_a_seed_recorded_answers_come_in_turn(folder: Path) -> None:
    async with demo(folder) as (_, client):
        model = model_of(client, "small")
        assert [(await ask(model)).text[0] for _ in range(3)] == ["H", "S", "H"]


@pytest.mark.parametrize("seed", [2, None])
async def test_a_request_for_a_repair_gets_the_answer_recorded_for_its_round(
    folder: Path, seed: int | None
) -> None:
    async with demo(folder) as (server, client):
        model = model_of(client, "small", seed=seed)
        talk, texts = [*ASK], []
        said = "Second: c"
        for _ in range(4):
            talk += [Message("assistant", said), Message("user", "Not all tests pass.")]
            said = (await model.complete(talk, run=1, slot=anyio.Semaphore(1))).text
            texts.append(said)
        begun_anew = [*talk, Message("assistant", said), *ASK]
        await model.complete(begun_anew, run=1, slot=anyio.Semaphore(1))
    assert texts == ["Third: a\nb", "Fourth", "Fourth", "Fourth"]
    assert server.requests == {("small", "greet", seed, round_): 1 for round_ in (1, 2, 3, 4, 5)}


async def test_an_answer_without_a_recorded_repair_is_given_again(folder: Path) -> None:
    async with demo(folder) as (_, client):
        again = [*ASK, Message("assistant", "Hello world"), Message("user", "No.")]
        model = model_of(client, "small")
        completion = await model.complete(again, run=1, slot=anyio.Semaphore(1))
    assert completion.text == "Hello world"


async def test_a_recorded_answer_is_cut_at_max_tokens(folder: Path) -> None:
    async with demo(folder) as (_, client):
        completion = await ask(model_of(client, "small", seed=1, max_tokens=4))
    assert (completion.reasoning, completion.text) == ("I think.", "Hell")
    assert completion.truncated
    assert completion.usage == Usage(prompt_tokens=8, completion_tokens=4, reasoning_tokens=3)


async def test_an_unknown_problem_gets_an_honest_answer_without_code(folder: Path) -> None:
    async with demo(folder) as (server, client):
        question = [Message("user", "Something else")]
        model = model_of(client, "small")
        completion = await model.complete(question, run=1, slot=anyio.Semaphore(1))
    assert "no recorded answer for this problem" in completion.text
    assert server.requests == {("small", None, None, 1): 1}


async def test_an_unknown_recorded_model_stops_the_target(folder: Path) -> None:
    async with demo(folder) as (_, client):
        assert [offer.id for offer in await client.list_models()] == ["small"]
        with pytest.raises(TargetError, match=r"'big' does not exist.*--model"):
            await ask(model_of(client, "big"))


async def test_other_clients_get_a_plain_reply_if_they_do_not_stream(folder: Path) -> None:
    async with demo(folder) as (server, _), httpx.AsyncClient(trust_env=False) as other:
        url = f"{server.base_url}/chat/completions"
        body = {"model": "small", "messages": [{"role": "user", "content": PROBLEM.prompt}]}
        reply = (await other.post(url, json=body)).json()
        odd = await other.post(url, content=b"[]")
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"]["content"] == "Hello world"
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + 7
    assert odd.status_code == 400


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("```\n{{reference}}\n```", "```\na\nb\n```"),
        ("1. so\n   {{reference}}\n", "1. so\n   a\n   b\n"),
        ("say {{wrong:off}}.", "say c."),
        ("{{other}}", "{{other}}"),
    ],
)
def test_solutions_take_the_place_of_placeholders(text: str, filled: str, folder: Path) -> None:
    file = folder / "small.yaml"
    file.write_text(RECORDING.replace("Hello world", json.dumps(text)), encoding="utf-8")
    assert recorded.read(folder, [PROBLEM])["small"].answers["greet"][0].text == filled


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("wrong:off", "wrong:gone", "greet has nothing for {{wrong:gone}}"),
        ("100", "0", "tokens_per_second"),
        ("text: Hello world", "texts: Hello", r"answers\.greet\.0\.text"),
        ("model: small", "model: [", "small.yaml"),
    ],
)
def test_a_faulty_recording_is_named(folder: Path, old: str, new: str, says: str) -> None:
    (folder / "small.yaml").write_text(RECORDING.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        recorded.read(folder, [PROBLEM])


@pytest.mark.parametrize("text", ["", " ", "a", "some words\n\n  and code()\n", "日本語のテキスト"])
def test_tokens_joined_are_the_text(text: str) -> None:
    assert "".join(recorded.tokens_of(text)) == text
