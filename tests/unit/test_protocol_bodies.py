"""Bodies of requests in Ollama's protocol and in the Messages API."""

from typing import Any

import pytest

from llmbench.models.http_model import ModelRequest
from llmbench.models.messages import MAX_TOKENS, MessagesModel
from llmbench.models.ollama import OllamaModel
from llmbench.models.providers import PROVIDERS
from llmbench.models.server import connect
from llmbench.records import Message, Target

pytestmark = pytest.mark.anyio

MESSAGES = (Message("system", "Be brief."), Message("user", "Hi"))


async def body_of(model_class: type[Any], provider: str, **params: object) -> dict[str, Any]:
    async with connect(PROVIDERS[provider], key="k") as server:
        model = model_class(Target(provider, "m", server.base_url), server)
        body: dict[str, Any] = model.make_body(ModelRequest(MESSAGES, params))
        return body


async def test_ollama_takes_sampling_parameters_as_options() -> None:
    body = await body_of(OllamaModel, "ollama", max_tokens=10, top_k=3, seed=1)
    assert body["options"] == {"num_predict": 10, "top_k": 3, "seed": 1}
    assert "think" not in body
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


@pytest.mark.parametrize(("effort", "think"), [("high", "high"), ("none", False)])
async def test_the_reasoning_effort_is_ollamas_think(effort: str, think: object) -> None:
    body = await body_of(OllamaModel, "ollama", reasoning_effort=effort)
    assert (body["think"], body["options"]) == (think, {})


async def test_the_messages_api_needs_a_limit_and_has_the_system_prompt_apart() -> None:
    body = await body_of(MessagesModel, "anthropic", temperature=0.5)
    assert (body["max_tokens"], body["system"], body["temperature"]) == (
        MAX_TOKENS, "Be brief.", 0.5,
    )  # fmt: skip
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert (await body_of(MessagesModel, "anthropic", max_tokens=7))["max_tokens"] == 7


@pytest.mark.parametrize(
    ("effort", "field", "value"),
    [("low", "output_config", {"effort": "low"}), ("none", "thinking", {"type": "disabled"})],
)
async def test_the_reasoning_effort_of_the_messages_api(
    effort: str, field: str, value: object
) -> None:
    body = await body_of(MessagesModel, "anthropic", reasoning_effort=effort)
    assert body[field] == value
    assert "reasoning_effort" not in body
