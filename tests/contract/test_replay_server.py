"""The replay server, as a client sees it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from helpers.chat import MESSAGES, ask, chat_model
from helpers.recordings import PROBLEM, RECORDING

from llmbench.completions import Usage
from llmbench.demo import server as replay
from llmbench.errors import TargetError, UsageError
from llmbench.models.providers import PROVIDERS
from llmbench.models.server import Server, connect
from llmbench.records import Message

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(RECORDING, encoding="utf-8")
    return tmp_path


@asynccontextmanager
async def demo(folder: Path, pace: float = 0) -> AsyncIterator[tuple[replay.ReplayServer, Server]]:
    async with (
        replay.serve([PROBLEM], pace=pace, folder=folder) as server,
        connect(PROVIDERS["demo"], server.base_url) as client,
    ):
        yield server, client


async def test_the_seed_chooses_the_recorded_answer_and_each_request_is_counted(
    folder: Path,
) -> None:
    async with demo(folder) as (server, client):
        model = chat_model(client, "small", seed=1)
        texts = [(await ask(model, run)).text for run in (1, 2, 3, 1)]
    assert texts == ["Hello world", "Second: c", "Hello world", "Hello world"]
    assert server.requests == {
        ("small", "greet", 1, 1): 2,
        ("small", "greet", 2, 1): 1,
        ("small", "greet", 3, 1): 1,
    }


async def test_without_a_seed_recorded_answers_come_in_turn(folder: Path) -> None:
    async with demo(folder) as (_, client):
        model = chat_model(client, "small")
        assert [(await ask(model)).text[0] for _ in range(3)] == ["H", "S", "H"]


@pytest.mark.parametrize("seed", [2, None])
async def test_a_request_for_a_repair_gets_the_answer_recorded_for_its_round(
    folder: Path, seed: int | None
) -> None:
    async with demo(folder) as (server, client):
        model = chat_model(client, "small", seed=seed)
        messages, texts = [*MESSAGES], []
        answer = "Second: c"
        for _ in range(4):
            messages += [Message("assistant", answer), Message("user", "Not all tests pass.")]
            answer = (await model.complete(messages, run=1, slot=anyio.Semaphore(1))).text
            texts.append(answer)
        repeated_prompt = [*messages, Message("assistant", answer), *MESSAGES]
        await model.complete(repeated_prompt, run=1, slot=anyio.Semaphore(1))
    assert texts == ["Third: a\nb", "Fourth", "Fourth", "Fourth"]
    assert server.requests == {("small", "greet", seed, round_): 1 for round_ in (1, 2, 3, 4, 5)}


async def test_an_answer_without_a_recorded_repair_is_repeated(folder: Path) -> None:
    async with demo(folder) as (_, client):
        repair = [*MESSAGES, Message("assistant", "Hello world"), Message("user", "No.")]
        model = chat_model(client, "small")
        completion = await model.complete(repair, run=1, slot=anyio.Semaphore(1))
    assert completion.text == "Hello world"


async def test_a_recorded_answer_is_cut_at_max_tokens(folder: Path) -> None:
    async with demo(folder) as (_, client):
        completion = await ask(chat_model(client, "small", seed=1, max_tokens=4))
    assert (completion.reasoning, completion.text) == ("I think.", "Hell")
    assert completion.truncated
    assert completion.usage == Usage(prompt_tokens=8, completion_tokens=4, reasoning_tokens=3)


async def test_an_unknown_problem_gets_an_honest_answer_without_code(folder: Path) -> None:
    async with demo(folder) as (server, client):
        messages = [Message("user", "Something else")]
        model = chat_model(client, "small")
        completion = await model.complete(messages, run=1, slot=anyio.Semaphore(1))
    assert "no recorded answer for this problem" in completion.text
    assert server.requests == {("small", None, None, 1): 1}


async def test_an_unknown_recorded_model_stops_the_target(folder: Path) -> None:
    async with demo(folder) as (_, client):
        assert [model.id for model in await client.list_models()] == ["small"]
        with pytest.raises(TargetError, match=r"'big' does not exist.*--model"):
            await ask(chat_model(client, "big"))


async def test_other_clients_get_a_plain_reply_if_they_do_not_stream(folder: Path) -> None:
    async with demo(folder) as (server, _), httpx.AsyncClient(trust_env=False) as other:
        url = f"{server.base_url}/chat/completions"
        body = {"model": "small", "messages": [{"role": "user", "content": PROBLEM.prompt}]}
        reply = (await other.post(url, json=body)).json()
        invalid = await other.post(url, content=b"[]")
    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["message"]["content"] == "Hello world"
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + 7
    assert invalid.status_code == 400


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("```\n{{reference}}\n```", "```\na\nb\n```"),
        ("1. so\n   {{reference}}\n", "1. so\n   a\n   b\n"),
        ("say {{wrong:off}}.", "say c."),
        ("{{other}}", "{{other}}"),
    ],
)
def test_placeholders_are_replaced_by_solutions(text: str, filled: str, folder: Path) -> None:
    file = folder / "small.yaml"
    file.write_text(RECORDING.replace("Hello world", json.dumps(text)), encoding="utf-8")
    assert replay.load_recordings(folder, [PROBLEM])["small"].answers["greet"][0].text == filled


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("wrong:off", "wrong:gone", "greet has nothing for {{wrong:gone}}"),
        ("100", "0", "tokens_per_second"),
        ("text: Hello world", "texts: Hello", r"answers\.greet\.0\.text"),
        ("model: small", "model: [", "small.yaml"),
    ],
)
def test_a_faulty_recording_is_named(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "small.yaml").write_text(RECORDING.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        replay.load_recordings(folder, [PROBLEM])


@pytest.mark.parametrize("text", ["", " ", "a", "some words\n\n  and code()\n", "日本語のテキスト"])
def test_joined_tokens_are_the_text(text: str) -> None:
    assert "".join(replay.split_tokens(text)) == text
