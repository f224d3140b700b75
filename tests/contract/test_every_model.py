"""Requirements of every model, over real HTTP on loopback."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from helpers.chat import MESSAGES, ask, chat_model
from helpers.recordings import PROBLEM, RECORDING
from helpers.scripted_server import Script, chunk, event, scripted

from llmbench.demo import server as replay
from llmbench.models.chat import ChatModel
from llmbench.models.providers import PROVIDERS
from llmbench.models.server import Server, connect

pytestmark = [pytest.mark.anyio, pytest.mark.alone]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(RECORDING, encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def a_server(kind: str, folder: Path) -> AsyncIterator[tuple[Server, str]]:
    """One of the servers that the shared tests run against, and the name of its model."""
    if kind == "scripted":
        pauses: list[bytes | float] = [
            0.1,
            event(chunk(None, role="assistant", reasoning_content="I think.")),
            *(
                part
                for piece in ("He", "l", "lo", " world")
                for part in (event(chunk(piece)), 0.08)
            ),
            event(chunk(None, "stop")),
            event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 7}}),
            b"data: [DONE]\n\n",
        ]
        async with scripted(Script(pauses)) as (_, client):
            yield client, "served-model"
        return
    async with (
        replay.serve([PROBLEM], folder=folder) as server,
        connect(PROVIDERS["demo"], server.base_url) as client,
    ):
        yield client, "small"


@pytest.fixture(params=["scripted", "replayed"])
async def served(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[ChatModel]:
    async with a_server(request.param, folder) as (client, name):
        yield chat_model(client, name, seed=1)


async def test_an_answer_has_text_reasoning_usage_and_finish_reason(
    served: ChatModel,
) -> None:
    completion = await ask(served)
    assert completion.text == "Hello world"
    assert completion.reasoning == "I think."
    assert completion.finish_reason == "stop"
    assert not completion.truncated
    assert completion.model == served.target.model
    assert completion.requests == 1
    assert completion.usage.completion_tokens == 7
    assert completion.usage.prompt_tokens


async def test_the_time_to_first_token_is_shorter_than_the_answer(served: ChatModel) -> None:
    began = time.perf_counter()
    completion = await ask(served)
    elapsed = time.perf_counter() - began
    assert completion.ttft_seconds is not None
    assert 0.09 < completion.ttft_seconds < completion.llm_seconds
    assert completion.llm_seconds <= elapsed
    if completion.tokens_per_second is not None:  # the replayed answer is too short for a speed
        assert 5 < completion.tokens_per_second < 100


async def test_a_cancelled_request_frees_its_slot_at_once(served: ChatModel) -> None:
    slot = anyio.Semaphore(1)
    with anyio.move_on_after(0.12) as scope:
        await served.complete(MESSAGES, run=1, slot=slot)
    assert scope.cancelled_caught
    assert slot.value == 1
    again = await served.complete(MESSAGES, run=1, slot=slot)
    assert again.text == "Hello world"


async def test_concurrent_requests_do_not_mix(served: ChatModel) -> None:
    completions = []

    async def one() -> None:
        completions.append(await ask(served))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
    assert {(c.text, c.reasoning) for c in completions} == {("Hello world", "I think.")}
    assert len(completions) == 20
