"""Requests: their parameters, connections, and parameters that a server does not support."""

import json
from typing import Any

import anyio
import pytest
from helpers.chat import KEY, MESSAGES, ask, chat_model
from helpers.scripted_server import HELLO, Script, chunk, event, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]


async def test_only_requested_sampling_parameters_are_sent() -> None:
    async with scripted(Script([HELLO]), key=KEY) as (wire, server):
        await ask(chat_model(server))
        await ask(chat_model(server, max_tokens=9, temperature=0.0, seed=5), run=3)
    plain, full = wire.bodies
    assert plain == {
        "model": "m",
        "messages": [message._asdict() for message in MESSAGES],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert (full["max_tokens"], full["temperature"], full["seed"]) == (9, 0.0, 7)
    assert wire.heads[0].startswith("POST /v1/chat/completions HTTP/1.1")
    assert f"authorization: bearer {KEY}" in wire.heads[0].lower()
    assert KEY not in json.dumps(wire.bodies)


async def test_every_parameter_of_sampling_is_sent_below_the_fields_of_the_user() -> None:
    params = '{"stop": ["x"], "stream_options": {"more": true}, "temperature": 9}'
    sampling: dict[str, Any] = {"top_p": 0.9, "top_k": 40, "min_p": 0.05, "reasoning_effort": "low"}
    async with scripted(Script([HELLO])) as (wire, server):
        await ask(chat_model(server, temperature=0.1, params=params, **sampling))
    (body,) = wire.bodies
    assert {name: body[name] for name in sampling} == sampling
    assert (body["stop"], body["temperature"]) == (["x"], 0.1)
    assert body["stream_options"] == {"more": True, "include_usage": True}


async def test_a_refused_parameter_of_sampling_is_left_out_and_reported() -> None:
    refused = refusal("Unrecognized request argument supplied: top_k", "top_k")
    async with scripted(refused, Script([HELLO])) as (wire, server):
        model = chat_model(server, top_k=40, top_p=0.9)
        completion = await ask(model)
    assert completion.unsupported_params == ("top_k",)
    assert "top_k" not in wire.bodies[1]
    assert wire.bodies[1]["top_p"] == 0.9


async def test_a_connection_read_to_its_end_is_reused() -> None:
    async with scripted(Script([HELLO, 0.05])) as (wire, server):
        for _ in range(5):
            await ask(chat_model(server))
    assert wire.connections == 1


async def test_connections_are_bounded_by_slots_alone() -> None:
    async with scripted(Script([event(chunk("Hel")), 30.0])) as (wire, server):
        model = chat_model(server)
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


async def test_an_unsupported_parameter_is_detected_once_and_remembered() -> None:
    async with scripted(
        refusal("Extra inputs are not permitted", "stream_options", 422),
        refusal("Unsupported parameter: use 'max_completion_tokens' instead.", "max_tokens"),
        refusal("Unsupported value: 'temperature' does not support 0.2", "temperature"),
        Script([HELLO]),
    ) as (wire, server):
        model = chat_model(server, max_tokens=9, temperature=0.2)
        first, second = await ask(model), await ask(model)
        assert (first.requests, second.requests) == (4, 1)
        assert first.unsupported_params == second.unsupported_params == ("temperature",)
    assert wire.bodies[3] == wire.bodies[4]
    assert wire.bodies[3]["max_completion_tokens"] == 9
    assert not {"stream_options", "max_tokens", "temperature"} & set(wire.bodies[3])
    assert model.unsupported_params == {
        "stream_options": None,
        "max_tokens": "max_completion_tokens",
        "temperature": None,
    }
