"""Answers of servers that bend the protocol: each is read as it was meant, or refused aloud."""

import json
import logging
import tracemalloc
from typing import Any

import anyio
import pytest
from helpers.chat import JSON, KEY, answer_to, ask, chat_model
from helpers.scripted_server import EVENTS, HELLO, Script, chunk, event, events, scripted

from llmbench.completions import Usage
from llmbench.errors import AttemptError, ModelError, TargetError, TransientError

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]

LONG = "Here is a text that is longer than forty characters, as most answers are.\n"
PIECES = [LONG[at : at + 9] for at in range(0, len(LONG), 9)]
STOP = chunk(None, "stop")
WHOLE = {"choices": [{"message": {"content": "Hello world"}, "finish_reason": "stop"}]}
END = event(STOP)


def raw(data: bytes) -> bytes:
    """An event with this data."""
    return b"data: " + data + b"\n\n"


def hello(*between: bytes, after: bytes = b"") -> Script:
    """The usual stream with further events in the midst of its text, or after its finish reason."""
    parts = [event(chunk("Hello")), *between, event(chunk(" world")), END, after]
    return Script([b"".join(parts) + raw(b"[DONE]")])


def choice(**fields: Any) -> dict[str, Any]:
    """A chunk with one choice of these fields."""
    return {"choices": [fields]}


FORMS: dict[str, Script] = {
    "empty events": hello(b"data: \n\n", b"data:\n\n", b"data:   \n\n"),
    "a ping that is no JSON": hello(b"event: ping\ndata: 2025-01-01T00:00:00\n\n"),
    "a ping of JSON": hello(b'event: ping\ndata: {"type": "ping"}\n\n'),
    "a number and a text": hello(raw(b"17"), raw(b'"ping"'), raw(b"null"), raw(b"[]")),
    "a broken object without a text": hello(raw(b"{'type': 'ping'}")),
    "DONE with blanks": Script([HELLO.replace(b"[DONE]", b"[DONE] ")]),
    "DONE in quotes": Script([HELLO.replace(b"[DONE]", b'"[DONE]"')]),
    "junk after the finish reason": hello(after=raw(b'[STATS] {"tps": 12}')),
    "a broken chunk after the finish reason": hello(after=raw(b'{"choices": [{"delta"')),
    "an error after the finish reason": hello(after=event({"error": {"message": "late"}})),
    "an error event after the finish reason": hello(after=b"event: error\ndata: late\n\n"),
    "a byte-order mark": Script([b"\xef\xbb\xbf" + HELLO]),
    "a byte-order mark of its own": Script([b"\xef\xbb\xbf", HELLO]),
    "single line ends": Script([HELLO.replace(b"\n\n", b"\n")]),
    "single line ends, one by one": Script(HELLO.replace(b"\n\n", b"\n").splitlines(True)),
    "single line ends and junk": Script([b"data: ping\n" + HELLO.replace(b"\n\n", b"\n")]),
    "old line ends": Script([HELLO.replace(b"\n", b"\r")]),
    "line ends in two packets": Script(
        [part for line in HELLO.split(b"\n") for part in (line + b"\r", b"\n")]
    ),
    "two chunks in one event": Script(
        [raw(json.dumps(chunk("Hello")).encode() + json.dumps(chunk(" world")).encode()), END]
    ),
    "chunks in a list": Script([event([chunk("Hello"), chunk(" world")]), END]),
    "events as JSON": Script([HELLO], content_type=JSON),
    "events as a page": Script([HELLO], content_type="text/html"),
    "JSON as events": Script([json.dumps(WHOLE).encode()], content_type=EVENTS),
    "JSON as a text": Script([json.dumps(WHOLE).encode()], content_type="text/plain"),
    "JSON after blanks": Script([b"\n", b" \n", json.dumps(WHOLE).encode()]),
    "JSON in a list": Script([json.dumps([WHOLE]).encode()], content_type=JSON),
    "JSON of a chunk": Script([json.dumps(chunk("Hello world")).encode()], content_type=JSON),
    "JSON lines": Script(
        [json.dumps(each).encode() + b"\n" for each in (chunk("Hello"), chunk(" world", "stop"))],
        content_type="application/x-ndjson",
    ),
    "JSON that is cut after its end": Script([json.dumps(WHOLE).encode()], cut=True),
    "content as an object": Script(
        [events(chunk({"type": "text", "text": "Hello"}), chunk({"text": {"value": " world"}}))]
    ),
    "content as texts": Script([events(chunk(["Hello", " world"]), STOP)]),
    "content in parts of parts": Script([events(chunk([{"parts": [{"text": "Hello world"}]}]))]),
    "a reference beside the text": Script(
        [events(chunk(["Hello world", {"type": "reference", "reference_ids": [1]}]), STOP)]
    ),
    "texts of completions": Script(
        [events(choice(text="Hello"), choice(text=" world"), choice(text="", finish_reason="stop"))]
    ),
    "messages piece by piece": Script(
        [events(choice(message={"content": "Hello"}), choice(message={"content": " world"}), STOP)]
    ),
    "several choices": Script(
        [
            events(
                chunk("Hello"),
                choice(index=1, delta={"content": "Bye"}),
                choice(index=1, delta={}, finish_reason="length"),
                chunk(" world", "stop"),
                choice(index=1, delta={"content": "Bye"}),
            )
        ]
    ),
    "a finish reason null as text": Script(
        [events(chunk("Hello", "null"), chunk(" world", "NULL"), STOP)]
    ),
    "a long header": Script([HELLO], headers=["X-Trace: " + "a" * 60_000]),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
async def test_an_answer_is_whole_whatever_stands_beside_it(form: str) -> None:
    with anyio.fail_after(3):
        completion = await answer_to(FORMS[form])
    assert completion.text == "Hello world"
    assert completion.requests == 1


@pytest.mark.parametrize(
    "chunks",
    [
        [*map(chunk, PIECES), chunk(LONG, "stop")],
        [*(chunk(LONG[:end]) for end in range(5, len(LONG), 7)), chunk(LONG), STOP],
        [*map(chunk, PIECES), choice(message={"content": LONG}, finish_reason="stop")],
        [*map(chunk, PIECES), choice(delta={}, message={"content": LONG}, finish_reason="stop")],
    ],
    ids=["at the end", "in each delta", "as a message", "as a message beside an empty delta"],
)
async def test_text_that_a_server_repeats_counts_once(chunks: list[Any]) -> None:
    completion = await answer_to(Script([events(*chunks)]))
    assert completion.text == LONG


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": {"content": "Hm.", "type": "text"}},
        {"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {"thinking": "Hm."},
        {"thoughts": ["Hm."]},
        {"content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]},
        {"content": [{"text": "Hm.", "thought": True}]},
        {"content": {"type": "reasoning", "summary": [{"text": "Hm."}]}},
    ],
)
async def test_reasoning_is_read_in_every_form(delta: dict[str, Any]) -> None:
    script = Script([event(chunk(**delta)), 0.1, events(chunk("Hello"), STOP)])
    completion = await answer_to(script)
    assert (completion.text, completion.reasoning) == ("Hello", "Hm.")
    assert completion.ttft_seconds is not None
    assert completion.ttfa_seconds is not None
    assert completion.ttfa_seconds - completion.ttft_seconds > 0.08


@pytest.mark.parametrize(
    ("script", "kind", "text"),
    [
        (Script([raw(b"CUDA error: out of memory")]), TransientError, "CUDA error: out of memory"),
        (Script([event(chunk("x")), b"event: error\ndata: gone\n\n"]), TransientError, "gone"),
        (Script([b'event: error\ndata: {"message": "gone"}\n\n']), TransientError, "gone"),
        (Script([raw(b'{"choices": [{"delta": {"conte')]), TransientError, "no chat completion"),
        (Script([events(chunk(42), STOP)]), TransientError, "content of an unknown form: 42"),
        (Script([events(chunk([{"blob": "x"}]), STOP)]), TransientError, "unknown form"),
        (Script([events(choice(index=1, delta={"content": "x"}))]), TransientError, "no answer"),
        (Script([raw(b"[" * 100_000)]), TransientError, "no chat completion chunk"),
        (Script([b"x"], headers=["Content-Encoding: br"]), TargetError, "Content-Encoding br"),
        (Script([b"x"], headers=["Content-Encoding: zstd"]), TargetError, "Content-Encoding zstd"),
        (Script([b"<html><title>Sign in</title>"], 200, EVENTS), TargetError, "page, which is no"),
        (
            Script([b'{"choices": null, "base_resp": {"status_msg": "insufficient balance"}}']),
            TargetError,
            "insufficient balance: add credit",
        ),
        (Script([b'{"code": 500, "msg": "it is gone"}'], 200, JSON), TransientError, "is gone"),
        (Script([event({"detail": "no such tenant"})]), TransientError, "no such tenant"),
        (
            Script([b'{"statusCode": 400, "message": ["a", "b"], "error": "Bad"}'], 400, JSON),
            AttemptError,
            "Bad: a; b",
        ),
        (
            Script([events(choice(delta={}, finish_reason="error", error={"message": "node 7"}))]),
            TransientError,
            "node 7",
        ),
        (
            Script([events(chunk("x", "error"), {"error": {"message": "node 7"}})]),
            TransientError,
            "node 7",
        ),
        (Script([events(STOP)]), TransientError, "sent no token, but finish_reason stop"),
        (
            Script([events(chunk("", "OTHER"), {"usage": {"completion_tokens": 0}})]),
            TransientError,
            "sent no token, but finish_reason OTHER",
        ),
        (Script([events(chunk("x", "cancelled"))]), TransientError, "finish_reason cancelled"),
        (Script([events(chunk("x", "request_timeout"))]), TransientError, "request_timeout"),
        (Script([events(chunk(KEY, f"error {KEY}"))]), TransientError, "error ***"),
        (Script([events(chunk([{"blob": KEY}]), STOP)]), TransientError, "***"),
        (Script([events(chunk("", "content_filter: RECITATION"))]), AttemptError, "withheld"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_refused_in_the_servers_own_words(
    script: Script, kind: type[ModelError], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with pytest.raises(ModelError) as caught:
        await answer_to(script, key=KEY)
    assert type(caught.value) is kind
    assert text in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert KEY not in str(caught.value) + caplog.text


async def test_a_stop_after_one_token_without_text_is_the_models_own_answer() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
    completion = await answer_to(Script([events(STOP, usage)]))
    assert (completion.text, completion.requests) == ("", 1)


async def test_an_empty_answer_is_retried() -> None:
    completion = await answer_to(Script([events(STOP)]), Script([HELLO]), max_tries=2)
    assert (completion.text, completion.requests) == ("Hello world", 2)


async def test_an_answer_without_room_for_a_token_is_truncated() -> None:
    assert (await answer_to(Script([events(chunk("", "length"))]))).truncated


async def test_content_of_an_unknown_form_beside_text_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    completion = await answer_to(Script([events(chunk(["Hello", {"blob": "x"}]), STOP)]))
    assert completion.text == "Hello"
    assert "content of an unknown form: ['Hello', {'blob': 'x'}]" in caplog.text


@pytest.mark.parametrize("delta", [{"ponder": "Hm."}, {"content": ""}, {"role": "assistant"}])
async def test_any_delta_is_a_sign_of_life(delta: dict[str, Any]) -> None:
    thoughts: list[bytes | float] = [event(chunk(**delta)), 0.1] * 8
    completion = await answer_to(Script([*thoughts, HELLO]), first_token=0.4, between_tokens=0.4)
    assert completion.text == "Hello world"
    assert completion.ttft_seconds is not None
    assert (completion.ttft_seconds > 0.7) == ("ponder" not in delta)


async def test_a_server_that_falls_silent_after_a_sign_of_life_is_cut() -> None:
    script = Script([event(chunk("", role="assistant")), 0.2, event(chunk("")), 5.0])
    with anyio.fail_after(3), pytest.raises(TransientError, match=r"no further token for 0\.3 s"):
        await answer_to(script, first_token=0.3, between_tokens=0.3)


async def test_a_large_event_is_read_in_linear_time_and_memory() -> None:
    body = event(chunk("x" * 16_000_000, "stop"))
    script = Script([body[at : at + 16384] for at in range(0, len(body), 16384)])
    tracemalloc.start()
    try:
        with anyio.fail_after(15):
            completion = await answer_to(script, first_token=20.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(completion.text) == 16_000_000
    assert peak < 12 * len(body)


@pytest.mark.parametrize(
    ("usage", "expected", "cost"),
    [
        ({"completion_tokens": 2**64 - 1}, Usage(), None),
        ({"completion_tokens": 10**400}, Usage(), None),
        ({"prompt_tokens": 1e300, "completion_tokens": 3}, Usage(None, 3), None),
        ({"prompt_tokens": -1, "completion_tokens": True}, Usage(), None),
        ({"cost": -0.5}, Usage(), None),
        ({"cost": 1e300}, Usage(), None),
        ({"cost": {"total": 0.01}}, Usage(), None),
        ({"cost": 0.25}, Usage(), 0.25),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "reasoning_tokens": 3},
            Usage(9, 5, 3),
            None,
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 5,
                "completion_tokens_details": {"reasoning_tokens": 6},
                "prompt_tokens_details": {"cached_tokens": 10},
            },
            Usage(9, 5),
            None,
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 1015,
                "cache_read_input_tokens": 1000,
            },
            Usage(1010, 5, None, 1000),
            None,
        ),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 1065,
                "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 50,
            },
            Usage(1060, 5, None, 1000),
            None,
        ),
    ],
)
async def test_figures_of_a_server_are_plausible_or_null(
    usage: dict[str, Any], expected: Usage, cost: float | None
) -> None:
    script = Script([events(chunk("Hello"), STOP, {"choices": [], "usage": usage})])
    completion = await answer_to(script)
    known = {name: value for name in Usage.__slots__ if (value := getattr(expected, name))}
    assert {name: getattr(completion.usage, name) for name in known} == known
    assert completion.usage.completion_tokens == (expected.completion_tokens or 2)
    assert completion.usage.reasoning_tokens == expected.reasoning_tokens
    assert completion.usage.cached_tokens == expected.cached_tokens
    assert completion.cost_usd == cost


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk("Hello"), {**STOP, "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
         {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}],
        [chunk("Hello"),
         {**STOP, "x_groq": {"usage": {"prompt_tokens": 9, "completion_tokens": 5}}}],
    ],
    ids=["zeros at the end", "in a field of Groq"],
)  # fmt: skip
async def test_counts_are_found_where_servers_put_them(chunks: list[Any]) -> None:
    completion = await answer_to(Script([events(*chunks)]))
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (9, 5)
    assert completion.usage_source == "server"


async def test_an_answer_is_asked_for_without_streaming_where_that_is_refused() -> None:
    error = {"message": "'stream' does not support true with this model.", "param": "stream"}
    refusal = Script([json.dumps({"error": error}).encode()], 400, JSON)
    answer = Script([0.5, json.dumps(WHOLE).encode()], 200, JSON)
    async with scripted(refusal, answer, first_token=0.2) as (played, server):
        model = chat_model(server)
        first, second = await ask(model), await ask(model)
    assert [body["stream"] for body in played.bodies] == [True, False, False]
    assert ["stream_options" in body for body in played.bodies] == [True, False, False]
    assert (first.requests, second.requests, first.ttft_seconds) == (2, 1, None)
    assert model.unsupported_params == {"stream": None}


async def test_a_limit_that_is_too_large_is_not_taken_for_an_unknown_parameter() -> None:
    text = "'max_tokens' or 'max_completion_tokens' is too large: 4096 and 500 input tokens."
    refusal = Script([json.dumps({"error": {"message": text}}).encode()], 400, JSON)
    async with scripted(refusal) as (played, server):
        model = chat_model(server, max_tokens=4096)
        with pytest.raises(ModelError, match="is too large"):
            await ask(model)
    assert len(played.bodies) == 1
    assert not model.unsupported_params
