"""Answers in every form that servers use: streams, counts, costs, reasoning."""

import gzip
import json
from typing import Any

import anyio
import pytest
from helpers.chat import MESSAGES, answer_to, ask, chat_model, no_wait
from helpers.scripted_server import HELLO, Script, chunk, event, events, scripted

from llmbench.completions import Usage
from llmbench.errors import AttemptError, TransientError
from llmbench.models.chat import ChatModel
from llmbench.models.pricing import Price
from llmbench.models.retry import RetryPolicy

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]

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
async def test_an_answer_is_read_in_every_form_that_servers_use(form: str) -> None:
    with anyio.fail_after(3):
        completion = await answer_to(FORMS[form])
    assert completion.text == "Hello world"
    assert completion.finish_reason in ("stop", None)
    assert completion.llm_seconds < 0.5


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
async def test_a_character_split_between_two_packets_is_restored(size: int) -> None:
    stream = events(chunk("naïve "), chunk("日本 🎉"), chunk(None, "stop"))
    parts = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert (await answer_to(Script(parts))).text == "naïve 日本 🎉"


async def test_a_character_escaped_in_two_halves_is_restored() -> None:
    halves = [rb"a\ud83c", rb"\udf89b"]
    stream = b"".join(b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % h for h in halves)
    assert (await answer_to(Script([stream, b"data: [DONE]\n\n"]))).text == "a🎉b"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
async def test_reasoning_is_separate_and_its_first_token_counts(name: str) -> None:
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


async def test_reasoning_in_typed_parts_is_separate() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    completion = await answer_to(Script([events(chunk(parts), chunk("42"))]))
    assert (completion.reasoning, completion.text) == ("Hm.", "42")


async def test_token_counts_and_cost_come_from_the_last_usage() -> None:
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


async def test_missing_token_counts_are_estimated_and_marked_as_such() -> None:
    completion = await answer_to(Script([HELLO]))
    prompt_size = sum(len(message.content) for message in MESSAGES)
    assert completion.usage == Usage(
        -(-prompt_size // 4), 3, None, None
    )  # "Hello world" is 11 bytes
    assert completion.usage_source == "estimated"
    assert completion.cost_usd is None


async def test_an_unreported_cost_is_tokens_times_prices() -> None:
    counts = {"prompt_tokens": 100, "completion_tokens": 10}
    lasts: list[dict[str, Any]] = [
        {"choices": [], "usage": usage} for usage in (counts, counts | {"cost": 0.5})
    ]
    scripts = [Script([events(chunk("x", "stop"), last)]) for last in lasts]
    async with scripted(*scripts) as (_, server):
        model = ChatModel(chat_model(server).target, server, price=Price(1e-4, 1e-3))
        assert (await ask(model)).cost_usd == pytest.approx(0.02)
        assert (await ask(model)).cost_usd == 0.5


@pytest.mark.parametrize(
    ("reported", "cost"), [({"cost": 0.25}, 0.25), ({}, 0.02)], ids=["reported", "priced"]
)
async def test_the_cost_of_failed_tries_is_added(reported: dict[str, float], cost: float) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 10, **reported}
    last = {"choices": [], "usage": usage}
    failing = Script([events(chunk("x", "error"), last)])
    silent = Script([event(chunk("x"))], cut=True)
    whole = Script([events(chunk("x", "stop"), last)])
    withheld = Script([events(chunk("x", "content_filter"), last)])
    async with scripted(failing, silent, whole, failing, withheld, failing) as (_, server):
        target = chat_model(server).target
        model = ChatModel(target, server, RetryPolicy(3, sleep=no_wait), Price(1e-4, 1e-3))
        completion = await ask(model)
        assert completion.requests == 3
        assert completion.cost_usd == pytest.approx(2 * cost)
        assert completion.usage.prompt_tokens == 100  # of the final try alone
        for kind, requests in ((AttemptError, 2), (TransientError, 3)):
            with pytest.raises(kind) as caught:
                await ask(model)
            assert caught.value.requests == requests
            assert caught.value.cost_usd == pytest.approx(requests * cost)


@pytest.mark.parametrize(
    ("reported", "counts"),
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
async def test_reasoning_tokens_outside_the_completion_are_added_to_it(
    reported: dict[str, Any], counts: tuple[int, int | None]
) -> None:
    usage = {"prompt_tokens": 32, "total_tokens": 135, **reported}
    last = {"choices": [], "usage": usage}
    completion = await answer_to(Script([events(chunk("x", "stop"), last)]))
    assert completion.usage == Usage(32, *counts)
    assert completion.usage_source == "server"


async def test_a_count_of_zero_for_a_text_is_replaced_by_an_estimate() -> None:
    nothing = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    completion = await answer_to(Script([events(chunk("Hello", "stop"), {"usage": nothing})]))
    assert (completion.usage.completion_tokens, completion.usage_source) == (2, "estimated")
    assert completion.usage.prompt_tokens


async def test_a_reported_count_is_kept_beside_an_estimated_one() -> None:
    half = {"choices": [], "usage": {"completion_tokens": 999}}
    completion = await answer_to(Script([events(chunk("x", "stop"), half)]))
    assert completion.usage.completion_tokens == 999
    assert completion.usage.prompt_tokens
    assert completion.usage_source == "estimated"


async def test_the_provider_that_a_router_reports_is_recorded() -> None:
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
async def test_the_first_token_of_the_answer_is_timed_separately_from_reasoning(
    thought: bytes,
) -> None:
    end = b"" if b"reasoning_content" in thought else event(chunk("</think>\n\n"))
    script = Script([thought, 0.3, end + event(chunk("42")), 0.2, events(chunk(None, "stop"))])
    completion = await answer_to(script)
    assert completion.ttft_seconds is not None
    assert completion.ttfa_seconds is not None
    assert completion.ttft_seconds < 0.2 < 0.29 < completion.ttfa_seconds
    assert completion.ttfa_seconds < completion.llm_seconds - 0.15


async def test_an_answer_in_one_piece_has_no_time_to_first_token() -> None:
    assert (await answer_to(FORMS["not streamed"])).ttft_seconds is None


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "model_length"])
async def test_an_answer_cut_at_the_token_limit_is_truncated(reason: str) -> None:
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
