"""Descriptions of models by their servers."""

import time
from dataclasses import fields
from typing import Any

import pytest
from helpers.described_servers import (
    LLAMA_CPP_MODELS,
    LLAMA_CPP_PROPS,
    LM_STUDIO,
    ROUTER_MODELS,
    SERVERS,
    routed,
)
from helpers.scripted_server import Script
from hypothesis import given
from hypothesis import strategies as st

from llmbench.models import inspection, served_formats
from llmbench.models.inspection import Inspector, describe_models
from llmbench.models.server_kinds import SERVER_KINDS
from llmbench.served import ServedModel

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]

QWEN_OF_LLAMA_CPP = ServedModel(
    server="llama.cpp",
    server_version="b6103-a1b2c3d4",
    quantization="Q4_K_M",
    parameters=8_190_735_360,
    file_bytes=5_023_000_000,
    context_length=8192,
    max_context_length=40960,
    loaded=True,
)


@pytest.mark.parametrize(
    ("server", "model", "described"),
    [
        (
            "lmstudio",
            "qwen2.5-coder-7b",
            ServedModel(
                server="LM Studio",
                quantization="Q4_K_M",
                parameters=7_600_000_000,
                file_bytes=4683073536,
                architecture="qwen2",
                context_length=4096,
                max_context_length=32768,
                loaded=True,
            ),
        ),
        (
            "lmstudio",
            "qwen3-30b-a3b",
            ServedModel(
                server="LM Studio",
                parameters=30_000_000_000,
                file_bytes=18_000_000_000,
                architecture="qwen3moe",
                max_context_length=131072,
                loaded=False,
            ),
        ),
        (
            "lmstudio before 0.4",
            "qwen2.5-coder-7b",
            ServedModel(
                server="LM Studio",
                quantization="Q4_K_M",
                architecture="qwen2",
                context_length=4096,
                max_context_length=32768,
                loaded=True,
            ),
        ),
        (
            "ollama",
            "mistral",
            ServedModel(
                server="Ollama",
                server_version="0.12.3",
                quantization="Q4_0",
                parameters=7_241_732_096,
                file_bytes=4_113_301_824,
                architecture="llama",
                context_length=4096,
                max_context_length=32768,
                vram_share=0.75,
                loaded=True,
            ),
        ),
        ("llamacpp", "tiny", QWEN_OF_LLAMA_CPP),
        ("llamacpp", "any other name", QWEN_OF_LLAMA_CPP),
        (
            "vllm",
            "Qwen/Qwen3-8B-AWQ",
            ServedModel("vLLM", "0.11.0", context_length=16384, loaded=True),
        ),
        (
            "sglang",
            "default",
            ServedModel("SGLang", "0.5.4", "fp8", context_length=40960, loaded=True),
        ),
        (
            "llama-swap",
            "qwen",
            ServedModel(
                server="llama-swap",
                server_version="v216",
                quantization="Q4_K_M",
                parameters=8_190_735_360,
                file_bytes=5_023_000_000,
                context_length=8192,
                max_context_length=40960,
                loaded=True,
            ),
        ),
        ("llama-swap", "phi", ServedModel("llama-swap", "v216", loaded=False)),
    ],
)
async def test_a_server_is_recognised_by_its_answers_and_describes_a_model(
    server: str, model: str, described: ServedModel
) -> None:
    async with routed(SERVERS[server]) as (_, client):
        assert await Inspector(client).describe(model) == described


async def test_a_model_that_is_not_loaded_is_not_loaded_by_questions_about_it() -> None:
    async with routed(SERVERS["llama-swap"]) as (played, client):
        await Inspector(client).describe("phi")
    assert not [path for path in played.paths if "upstream" in path]


async def test_an_instance_of_a_model_has_a_context_of_its_own() -> None:
    async with routed(SERVERS["lmstudio"]) as (_, client):
        assert (await Inspector(client).describe("qwen2.5-coder-7b:2")).context_length == 8192


@pytest.mark.parametrize(
    "routes",
    [
        {},
        {"/v1/models": {"data": [{"id": "a", "owned_by": "openai"}]}},
        {"/props": Script([b"<html>"], content_type="text/html")},
        {"/props": Script([b'{"a":' * 100_000], content_type="application/json")},
        {"/props": Script([b'{"build_info": ' + b"9" * 5000 + b"}"])},
        {"/props": Script([b'{"build_info": "b1"'], cut=True)},
        {"/running": {"running": [{"model": "a"}]}, "/api/ps": {"models": [3]}, "/props": [3]},
        {"/props": Script([b'{"build_info": "b1"}'], status=500)},
    ],
)
async def test_a_server_of_another_kind_describes_nothing(routes: dict[str, Any]) -> None:
    async with routed(routes) as (_, client):
        inspector = Inspector(client)
        assert await inspector.describe("a") == ServedModel()
        assert await inspector.describe_all() == {}
        assert not await inspector.unload("a")


async def test_a_server_that_does_not_answer_costs_one_short_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "PROBE_SECONDS", 0.3)
    silent = Script([60.0])
    async with routed({kind.sign_path: silent for kind in SERVER_KINDS}) as (_, client):
        began = time.monotonic()
        assert await Inspector(client).describe("a") == ServedModel()
        assert time.monotonic() - began < 2


async def test_a_body_that_never_ends_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inspection, "MAX_BODY_BYTES", 1000)
    endless = Script([b" " * 600, b" " * 600, b'{"build_info": "b1"}'])
    async with routed({"/props": endless}) as (_, client):
        assert await Inspector(client).describe("a") == ServedModel()


async def test_a_provider_that_says_no_more_is_not_asked() -> None:
    async with routed(SERVERS["ollama"], "openrouter") as (played, client):
        assert await Inspector(client).describe("mistral") == ServedModel()
    assert played.paths == []


async def test_a_server_below_a_path_is_asked_below_it() -> None:
    routes = {f"/llm{path}": answer for path, answer in SERVERS["llamacpp"].items()}
    async with routed(routes) as (_, client):
        client.client.base_url = client.client.base_url.join("/llm/v1/")
        assert await Inspector(client).describe("tiny") == QWEN_OF_LLAMA_CPP


@pytest.mark.parametrize(
    ("server", "model", "requests"),
    [
        (
            "lmstudio",
            "qwen2.5-coder-7b",
            [{"instance_id": "qwen2.5-coder-7b"}, {"instance_id": "qwen2.5-coder-7b:2"}],
        ),
        ("ollama", "mistral", [{"model": "mistral", "keep_alive": 0}]),
        ("llamacpp", "qwen3-8b", [{"model": "qwen3-8b"}]),
        ("llama-swap", "qwen", [{}]),
    ],
)
async def test_a_model_is_unloaded_by_the_request_of_its_server(
    server: str, model: str, requests: list[dict[str, Any]]
) -> None:
    paths = [
        "/api/v1/models/unload",
        "/api/generate",
        "/models/unload",
        "/api/models/unload/qwen",
    ]
    routes = {**SERVERS[server], **{path: {} for path in paths}}
    async with routed(routes) as (played, client):
        assert await Inspector(client).unload(model)
    posts = [i for i, path in enumerate(played.paths) if path.startswith("POST")]
    assert [played.bodies[i] for i in posts] == requests


async def test_a_server_that_keeps_its_models_unloads_none() -> None:
    for server in ("vllm", "lmstudio before 0.4", "llamacpp"):
        async with routed(SERVERS[server]) as (_, client):
            assert not await Inspector(client).unload("tiny")


async def test_the_list_of_models_says_what_is_loaded_and_how_large_it_is() -> None:
    listing = {"data": [{"id": "mistral:latest"}, {"id": "phi4:14b"}]}
    async with routed({**SERVERS["ollama"], "/v1/models": listing}, "ollama") as (_, client):
        mistral, phi = await describe_models(client)
    assert (mistral.loaded, mistral.context, mistral.served.quantization) == (True, 4096, "Q4_0")
    assert (phi.loaded, phi.context, phi.served.file_bytes) == (False, None, 9_053_116_391)


async def test_the_list_of_a_router_says_what_is_loaded() -> None:
    async with routed({"/props": {"build_info": "b1"}, "/v1/models": ROUTER_MODELS}) as (_, client):
        gemma, qwen = await describe_models(client)
    assert (gemma.loaded, qwen.loaded) == (True, False)


async def test_without_a_description_the_list_itself_gives_state_and_context() -> None:
    listing = {"data": [{"id": "a", "max_model_len": 9}, {"id": "b", "status": {"value": "x"}}]}
    async with routed({"/v1/models": listing}) as (_, client):
        a, b = await describe_models(client)
    assert (a.context, a.loaded, a.served) == (9, None, ServedModel())
    assert (b.context, b.loaded) == (None, False)


@pytest.mark.parametrize(
    ("ftype", "path", "short"),
    [
        ("Q4_K - Medium", None, "Q4_K_M"),
        ("Q8_0", None, "Q8_0"),
        ("(guessed) all F32", "tiny.gguf", "F32"),
        ("IQ3_XS - 3.3 bpw", None, "IQ3_XS"),
        ("mostly Q5_K - Small", None, "Q5_K_S"),
        ("MXFP4 MoE", None, "MXFP4"),
        (None, "/m/Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"),
        (None, "/m/gpt-oss-120b-mxfp4-00001-of-00003.gguf", "MXFP4"),
        ("unknown, may not work", "/m/a.IQ2_XXS.gguf", "IQ2_XXS"),
        (None, "/m/Q4_0/model.gguf", None),
        (None, None, None),
    ],
)
def test_a_quantization_is_written_in_its_short_form(
    ftype: str | None, path: str | None, short: str | None
) -> None:
    assert served_formats.quantization(ftype, path) == short


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("7B", 7 * 10**9),
        ("270M", 270 * 10**6),
        ("1.5B", 1_500_000_000),
        ("30B-A3B", 30 * 10**9),
        ("8x7B", None),
        ("E4B", None),
        ("", None),
        (None, None),
    ],
)
def test_a_number_of_parameters_is_read_only_where_it_is_plain(
    words: str | None, number: int | None
) -> None:
    assert served_formats.parameters(words) == number


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@st.composite
def spoiled(draw: st.DrawFn, body: Any) -> Any:
    """A documented answer in which any value may be replaced by another one of JSON."""
    if draw(st.integers(0, 9)) == 0:
        return draw(JSON_VALUES)
    if isinstance(body, dict):
        return {name: draw(spoiled(value)) for name, value in body.items()}
    if isinstance(body, list):
        return [draw(spoiled(value)) for value in body]
    return body


@pytest.mark.parametrize("path", [source.path for kind in SERVER_KINDS for source in kind.sources])
@given(data=st.data())
def test_spoiled_answers_give_values_of_the_declared_types_only(
    path: str, data: st.DataObject
) -> None:
    answers = [a for routes in SERVERS.values() for a in routes.values()]
    answers += [LM_STUDIO, LLAMA_CPP_MODELS, LLAMA_CPP_PROPS, ROUTER_MODELS]
    body = data.draw(spoiled(data.draw(st.sampled_from(answers))))
    for kind in SERVER_KINDS:
        kind.sign(body)
        for source in kind.sources:
            if source.path == path:
                for id_, served in source.parse(body).items():
                    assert isinstance(id_, str)
                    check(served)


def check(served: ServedModel) -> None:
    """Every value is of its type, and small enough for a table."""
    for each in fields(served):
        value = getattr(served, each.name)
        name = str(each.type).removesuffix(" | None")
        assert value is None or type(value).__name__ == name, each.name
        assert not isinstance(value, str) or (value.isprintable() and 0 < len(value) <= 200)
        assert not isinstance(value, int) or value < 2**63
