"""The list of the models that a server offers."""

import json
from typing import Any

import pytest
from helpers.chat import JSON, KEY
from helpers.scripted_server import Script, scripted

from llmbench.errors import TargetError, UsageError
from llmbench.models.pricing import Price
from llmbench.models.server import ModelInfo, choose_model

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]


async def models_in(body: Any, status: int = 200) -> list[str]:
    script = Script([json.dumps(body).encode()], status, JSON)
    async with scripted(script, key=KEY) as (wire, server):
        models = await server.list_models()
    assert wire.heads[0].startswith("GET /v1/models HTTP/1.1")
    return [model.id for model in models]


async def test_models_that_cannot_chat_are_excluded() -> None:
    ids = ["qwen2.5-coder", "text-embedding-nomic", "bge-m3", "whisper-1", "gpt-4o", "tts-1"]
    assert await models_in({"data": [{"id": id_} for id_ in ids]}) == ["qwen2.5-coder", "gpt-4o"]


async def test_the_declared_type_of_a_model_counts_more_than_its_name() -> None:
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
async def test_a_response_that_is_no_list_of_models_is_a_target_error(
    body: bytes, kind: str
) -> None:
    async with scripted(Script([body], content_type=kind)) as (_, server):
        with pytest.raises(TargetError, match=f"sent {kind}, which is no list of models: check"):
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


async def test_models_are_listed_with_their_prices() -> None:
    pricing = {"prompt": "0.000003", "completion": "0.000015"}
    body = {"data": [{"id": "a", "pricing": pricing}, {"id": "b"}]}
    async with scripted(Script([json.dumps(body).encode()], 200, JSON)) as (_, server):
        models = await server.list_models()
    assert models == [ModelInfo("a", Price(3e-6, 15e-6)), ModelInfo("b")]
