"""The models of a run in their servers: descriptions, contexts, loading and unloading."""

from dataclasses import replace

import anyio
import pytest
from helpers.chat import MESSAGES
from helpers.described_servers import JSON, OLLAMA_PS, SERVERS, RoutedServer, routed
from helpers.scripted_server import HELLO, Script

from llmbench.errors import TargetError, UsageError
from llmbench.models.hosting import Hosting, Need
from llmbench.models.protocols import open_model
from llmbench.models.server import ModelInfo, Server
from llmbench.records import Sampling, Target
from llmbench.served import ServedModel

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]

UNLOADED: dict[str, list[object]] = {"models": []}


def target(server: Server, model: str, variant: str | None = None) -> Target:
    sampling = Sampling(max_tokens=4096)
    return Target(server.provider.name, model, server.base_url, sampling, variant=variant)


class Lines:
    """Lines for people, as a run prints them."""

    def __init__(self) -> None:
        self.info: list[str] = []
        self.warned: list[str] = []

    def hosting(self, *, keep_loaded: bool = False, context: int | None = None) -> Hosting:
        return Hosting(self.info.append, self.warned.append, keep_loaded, context)


async def test_a_context_that_is_too_small_is_a_warning_that_says_what_to_set() -> None:
    lines = Lines()
    async with routed(SERVERS["ollama"], "ollama") as (_, server):
        hosting, mistral = lines.hosting(), target(server, "mistral")
        await hosting.add(mistral, server, None)
        for _ in range(2):
            await hosting.check_contexts({"ollama/mistral": Need(900, 4096)})
    assert lines.warned == [
        "ollama/mistral: its context is 4096 tokens, and the longest prompt (about 900) with "
        "--max-tokens 4096 needs more: give --context 5120, or choose a smaller --max-tokens"
    ]


async def test_a_server_whose_client_cannot_set_the_context_says_how_it_is_started() -> None:
    lines = Lines()
    async with routed(SERVERS["vllm"], "vllm") as (_, server):
        hosting, model = lines.hosting(), target(server, "Qwen/Qwen3-8B-AWQ")
        await hosting.add(model, server, None)
        await hosting.check_contexts({"vllm/Qwen/Qwen3-8B-AWQ": Need(1000, 10**6)})
        (line,) = lines.warned
        assert "start vLLM with `--max-model-len 1001472`, or choose a smaller" in line
        with pytest.raises(UsageError, match="takes none from its clients") as refused:
            await lines.hosting(context=8192).add(model, server, None)
    assert refused.value.hint == "start vLLM with `--max-model-len 8192`"


LOADED: dict[str, object] = {"type": "llm", "status": "loaded", "load_time_seconds": 9.1}
LM_STUDIO_LOADS = {
    **SERVERS["lmstudio"],
    "/api/v1/models/unload": {},
    "/api/v1/models/load": LOADED,
}


async def test_a_model_is_loaded_with_the_context_that_is_asked_for() -> None:
    lines = Lines()
    async with routed(LM_STUDIO_LOADS, "lmstudio") as (played, server):
        hosting, model = lines.hosting(context=16384), target(server, "qwen3-30b-a3b")
        await hosting.add(model, server, None)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(hosting.prepare, model)
        sent = dict(zip(played.paths, played.bodies, strict=True))
    assert played.paths.count("POST /api/v1/models/load") == 1
    assert sent["POST /api/v1/models/load"] == {"model": "qwen3-30b-a3b", "context_length": 16384}
    assert lines.info == ["loaded lmstudio/qwen3-30b-a3b with a context of 16384 tokens"]
    assert hosting.served(model).context_length == 16384


async def test_a_model_that_is_loaded_with_another_context_is_unloaded_first() -> None:
    async with routed(LM_STUDIO_LOADS, "lmstudio") as (played, server):
        hosting, model = Lines().hosting(context=16384), target(server, "qwen2.5-coder-7b")
        await hosting.add(model, server, None)
        await hosting.prepare(model)
    changes = [path for path in played.paths if "load" in path]
    assert changes == ["POST /api/v1/models/unload"] * 2 + ["POST /api/v1/models/load"]


async def test_a_model_that_cannot_be_loaded_so_stops_its_target() -> None:
    async with routed(SERVERS["lmstudio"], "lmstudio") as (_, server):
        hosting, model = Lines().hosting(context=16384), target(server, "qwen3-30b-a3b")
        await hosting.add(model, server, None)
        with pytest.raises(TargetError, match="did not load it with a context of 16384"):
            await hosting.prepare(model)


async def test_a_model_of_a_server_that_is_not_local_is_never_loaded() -> None:
    async with routed(LM_STUDIO_LOADS, "openai-compatible") as (_, server):
        hosting, model = Lines().hosting(context=16384), target(server, "qwen3-30b-a3b")
        with pytest.raises(UsageError, match="takes none from its clients") as refused:
            await hosting.add(model, server, None)
    assert "lms load --context-length 16384" in refused.value.hint


async def test_a_context_that_the_server_did_not_give_is_a_warning() -> None:
    lines = Lines()
    async with routed(SERVERS["ollama"], "ollama") as (_, server):
        hosting, mistral = lines.hosting(context=8192), target(server, "mistral")
        await hosting.add(mistral, server, None)
        await hosting.check_contexts({"ollama/mistral": Need(900, 4096)})
        assert lines.warned == []
        await hosting.observe(mistral)
    assert lines.warned[0] == "ollama/mistral: loaded with a context of 4096 tokens, not 8192"


async def test_a_context_that_suffices_is_no_warning() -> None:
    lines = Lines()
    async with routed(SERVERS["ollama"], "ollama") as (_, server):
        hosting, mistral = lines.hosting(), target(server, "mistral")
        await hosting.add(mistral, server, None)
        await hosting.check_contexts({"ollama/mistral": Need(96, 4000)})
    assert lines.warned == []


async def test_a_context_of_the_list_of_models_counts_where_no_server_says_more() -> None:
    lines = Lines()
    async with routed({}, "openrouter") as (_, server):
        hosting, model = lines.hosting(), target(server, "m")
        await hosting.add(model, server, ModelInfo("m", context=1000))
        await hosting.check_contexts({"openrouter/m": Need(10, 4096)})
    (line,) = lines.warned
    assert line.endswith("needs more: choose a smaller --max-tokens")


async def test_a_model_is_described_again_once_it_is_loaded() -> None:
    lines = Lines()
    async with routed({**SERVERS["ollama"], "/api/ps": UNLOADED}, "ollama") as (played, server):
        hosting, mistral = lines.hosting(), target(server, "mistral")
        await hosting.add(mistral, server, None)
        await hosting.check_contexts({"ollama/mistral": Need(900, 4096)})
        assert (hosting.served(mistral).context_length, lines.warned) == (None, [])
        played.routes["/api/ps"] = OLLAMA_PS
        await hosting.on_loaded(mistral, 2.5)
    served = hosting.served(mistral)
    assert (served.context_length, served.loaded, served.load_seconds) == (4096, True, 2.5)
    assert served.vram_share == 0.75
    assert len(lines.warned) == 1
    assert hosting.record()["ollama/mistral"]["load_seconds"] == 2.5


async def test_the_first_request_of_a_model_says_how_long_it_took_to_load() -> None:
    slow = Script([0.3, HELLO])
    routes = {**SERVERS["ollama"], "/api/ps": UNLOADED, "/v1/chat/completions": slow}
    async with routed(routes, "ollama") as (played, server):
        hosting, mistral = Hosting(), target(server, "mistral")
        await hosting.add(mistral, server, None)
        chat = replace(server.provider, protocol="chat")
        listening = replace(server, provider=chat, on_loaded=hosting.on_loaded)
        model = open_model(mistral, listening, warm_up=True)
        await model.complete(MESSAGES, run=1, slot=anyio.Semaphore(1))
    assert played.paths.count("POST /v1/chat/completions") == 2
    assert 0.3 <= (hosting.served(mistral).load_seconds or 0) < 30


async def test_a_model_that_was_loaded_before_has_no_time_of_loading() -> None:
    async with routed(SERVERS["ollama"], "ollama") as (_, server):
        hosting, mistral = Hosting(), target(server, "mistral")
        await hosting.add(mistral, server, None)
        await hosting.on_loaded(mistral, 0.1)
    assert hosting.served(mistral).load_seconds is None


async def ask_one_after_another(
    played: RoutedServer, server: Server, hosting: Hosting, *targets: Target
) -> list[str]:
    """Prepare targets in this order, and return the models that were unloaded."""
    for each in targets:
        await hosting.add(each, server, None)
    for each in targets:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(hosting.prepare, each)
    return [
        body["model"]
        for path, body in zip(played.paths, played.bodies, strict=True)
        if path == "POST /api/generate"
    ]


OLLAMA = {**SERVERS["ollama"], "/api/generate": {"done": True, "done_reason": "unload"}}


async def test_the_model_before_is_unloaded_once_when_the_next_is_asked() -> None:
    lines = Lines()
    async with routed(OLLAMA, "ollama") as (played, server):
        targets = [target(server, "mistral"), target(server, "phi4:14b")]
        unloaded = await ask_one_after_another(played, server, lines.hosting(), *targets)
    assert unloaded == ["mistral"]
    assert lines.info == ["unloaded ollama/mistral"]


async def test_two_variants_of_a_model_share_the_loaded_one() -> None:
    async with routed(OLLAMA, "ollama") as (played, server):
        targets = [target(server, "mistral", "a"), target(server, "mistral", "b")]
        assert await ask_one_after_another(played, server, Hosting(), *targets) == []


async def test_models_stay_loaded_if_the_user_says_so() -> None:
    async with routed(OLLAMA, "ollama") as (played, server):
        targets = [target(server, "mistral"), target(server, "phi4:14b")]
        hosting = Lines().hosting(keep_loaded=True)
        assert await ask_one_after_another(played, server, hosting, *targets) == []


async def test_models_of_a_commercial_server_are_never_unloaded() -> None:
    async with routed(OLLAMA, "openrouter") as (played, server):
        targets = [target(server, "mistral"), target(server, "phi4:14b")]
        assert await ask_one_after_another(played, server, Hosting(), *targets) == []


async def test_a_server_that_refuses_to_unload_costs_nothing() -> None:
    lines = Lines()
    refusing = {**OLLAMA, "/api/generate": Script([b"{}"], 500, JSON)}
    async with routed(refusing, "ollama") as (played, server):
        targets = [target(server, "mistral"), target(server, "phi4:14b")]
        await ask_one_after_another(played, server, lines.hosting(), *targets)
    assert (lines.info, lines.warned) == ([], [])


async def test_an_unknown_target_has_no_description() -> None:
    async with routed({}, "ollama") as (_, server):
        hosting, model = Hosting(), target(server, "m")
        await hosting.prepare(model)
        await hosting.observe(model)
        assert hosting.served(model) == ServedModel()
