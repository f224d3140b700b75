"""A prompt, and chat models of scripted servers that retry without a wait."""

from typing import Any

import anyio

from helpers.scripted_server import Script, scripted
from llmbench.completions import Completion
from llmbench.models.base import Model
from llmbench.models.chat import ChatModel
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server
from llmbench.records import Message, Sampling, Target

KEY = "sk-or-v1-do-not-print-me"
MESSAGES = (Message("system", "Be brief."), Message("user", "Say hello world."))
JSON = "application/json"


async def no_wait(_: float) -> None:
    """Yield to other tasks in place of a wait between tries."""
    await anyio.lowlevel.checkpoint()


def chat_model(server: Server, model: str = "m", max_tries: int = 1, **sampling: Any) -> ChatModel:
    """A model of a server that retries without a wait."""
    target = Target(server.provider.name, model, server.base_url, Sampling(**sampling))
    return ChatModel(target, server, RetryPolicy(max_tries, sleep=no_wait))


async def ask(model: Model, run: int = 1) -> Completion:
    """The answer to `MESSAGES`, with a slot of its own."""
    return await model.complete(MESSAGES, run=run, slot=anyio.Semaphore(1))


async def answer_to(*scripts: Script, max_tries: int = 1, **options: Any) -> Completion:
    """The answer from a server that plays these scripts."""
    async with scripted(*scripts, **options) as (_, server):
        return await ask(chat_model(server, max_tries=max_tries))
