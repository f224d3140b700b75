"""Refusals that every request would meet, models that crash, and models that still load."""

import json
import time

import anyio
import pytest
from helpers.chat import JSON, no_wait
from helpers.scripted_server import HELLO, Script, scripted

from llmbench.completions import Completion
from llmbench.errors import AttemptError, ModelError, TargetError, TransientError
from llmbench.models import http_model
from llmbench.models.chat import ChatModel
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server
from llmbench.records import Message, Sampling, Target

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]


def refusal(text: str, status: int = 400) -> Script:
    return Script([json.dumps({"error": {"message": text}}).encode()], status, JSON)


LOADING = refusal("Loading model", 503)
CRASH = refusal("The model has crashed without additional information. (Exit code: 6)")


def model_of(server: Server, tries: int = 2, *, warm_up: bool = False) -> ChatModel:
    target = Target("vllm", "m", server.base_url, Sampling())
    retry = RetryPolicy(tries, sleep=no_wait, refusal_seconds=0.2)
    return ChatModel(target, server, retry, warm_up=warm_up)


async def ask(model: ChatModel, prompt: object) -> Completion:
    messages = (Message("user", f"Prompt {prompt}"),)
    return await model.complete(messages, run=1, slot=anyio.Semaphore(1))


async def errors_of(model: ChatModel, prompts: str) -> list[type[ModelError] | None]:
    """The class of the error of each prompt, a letter each; None for an answer."""
    errors: list[type[ModelError] | None] = []
    for prompt in prompts:
        try:
            await ask(model, prompt)
        except ModelError as error:
            errors.append(type(error))
        else:
            errors.append(None)
    return errors


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (refusal("Your organization must be verified to stream this model."), AttemptError),
        (refusal("request 17: this model does not support chat"), AttemptError),
        (refusal("model requires more system memory (7.5 GiB) than is free", 500), TransientError),
        (refusal("Conversation roles must alternate", 500), TransientError),
    ],
)
async def test_the_same_refusal_of_several_prompts_stops_the_target(
    script: Script, kind: type[ModelError]
) -> None:
    async with scripted(script) as (_, server):
        model = model_of(server)
        assert await errors_of(model, "aab") == [kind] * 3
        with pytest.raises(TargetError, match="the same to 3 different prompts") as caught:
            await ask(model, "c")
    assert "--resume" in caught.value.hint
    assert caught.value.requests > 0


async def test_numbers_in_a_refusal_do_not_make_it_another() -> None:
    scripts = [refusal(f"request req-{n}f3: no such template") for n in range(3)]
    async with scripted(*scripts) as (_, server):
        assert await errors_of(model_of(server), "abc") == [AttemptError] * 2 + [TargetError]


async def test_an_answer_between_or_other_words_do_not_stop_a_target() -> None:
    no, other, yes = refusal("no such template"), refusal("no such role"), Script([HELLO])
    async with scripted(no, no, yes, no, no, other, other, yes) as (_, server):
        errors = await errors_of(model_of(server), "abcdefgh")
    assert errors == [AttemptError] * 2 + [None] + [AttemptError] * 4 + [None]


@pytest.mark.parametrize(
    "script",
    [
        refusal("This model's maximum context length is 2048 tokens"),
        refusal("Request too large", 413),
        refusal("flagged"),
        refusal("busy", 503),
        refusal("slow down", 429),
    ],
)
async def test_faults_of_a_prompt_and_faults_that_pass_do_not_stop_a_target(script: Script) -> None:
    async with scripted(script) as (_, server):
        assert TargetError not in await errors_of(model_of(server), "abcdef")


async def test_a_fault_that_may_pass_stops_the_target_only_after_a_while() -> None:
    async with scripted(refusal("the engine met an issue", 500)) as (_, server):
        model = model_of(server)
        assert await errors_of(model, "abcd") == [TransientError] * 4
        await anyio.sleep(0.2)
        assert await errors_of(model, "e") == [TargetError]


@pytest.mark.parametrize("script", [CRASH, refusal("Model unloaded."), refusal("oops", 500)])
async def test_a_model_that_crashed_is_asked_again(script: Script) -> None:
    async with scripted(script, Script([HELLO])) as (_, server):
        assert (await ask(model_of(server), "a")).requests == 2


async def test_a_model_that_loads_is_waited_for_and_costs_no_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_model, "LOADING_WAITS", (0.02,))
    async with scripted(*[LOADING] * 9, Script([HELLO])) as (played, server):
        model = model_of(server, tries=1, warm_up=True)
        completions = [await ask(model, "a"), await ask(model, "b")]
    assert [completion.requests for completion in completions] == [1, 1]
    assert [body.get("max_tokens") for body in played.bodies] == [1] * 10 + [None] * 2


async def test_a_model_that_is_loaded_again_during_a_run_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_model, "LOADING_WAITS", (0.02,))
    scripts = [Script([HELLO]), *[LOADING] * 5, Script([HELLO])]
    async with scripted(*scripts) as (played, server):
        model = model_of(server, tries=1)
        completions = [await ask(model, "a"), await ask(model, "b")]
    assert [completion.requests for completion in completions] == [1, 2]
    assert [body.get("max_tokens") for body in played.bodies] == [None, None, 1, 1, 1, 1, 1, None]


async def test_the_wait_for_a_model_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_model, "LOADING_WAITS", (0.05,))
    began = time.monotonic()
    async with scripted(LOADING, first_token=0.3) as (_, server):
        with pytest.raises(TargetError, match=r"not loaded within 0\.3 s: .*--first-token-timeout"):
            await ask(model_of(server, warm_up=True), "a")
    assert 0.2 < time.monotonic() - began < 2


async def test_an_empty_answer_to_the_warm_up_shows_that_the_model_is_loaded() -> None:
    empty = Script([b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'])
    async with scripted(empty, Script([HELLO])) as (played, server):
        assert (await ask(model_of(server, tries=1, warm_up=True), "a")).text == "Hello world"
    assert len(played.bodies) == 2
