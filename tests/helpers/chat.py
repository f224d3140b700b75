"""What the tests of model clients share: a question, and clients of scripted servers."""

from typing import Any

import anyio

from helpers.scripted_server import Script, scripted
from llmbench.models.base import Model
from llmbench.models.chat import ChatModel
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server
from llmbench.records import Completion, Message, Sampling, Target

KEY = "sk-or-v1-do-not-print-me"
ASK = (Message("system", "Be brief."), Message("user", "Say hello world."))
JSON = "application/json"


async def no_wait(_: float) -> None:
    """What a retry waits in a test."""
    await anyio.lowlevel.checkpoint()


def model_of(server: Server, model: str = "m", requests: int = 1, **sampling: Any) -> ChatModel:
    """A client of a server's model that waits for nothing."""
    target = Target(server.preset.name, model, server.base_url, Sampling(**sampling))
    return ChatModel(target, server, RetryPolicy(attempts=requests, sleep=no_wait))


async def ask(model: Model, run: int = 1) -> Completion:
    """The answer to the question, with a slot of its own."""
    return await model.complete(ASK, run=run, slot=anyio.Semaphore(1))


async def answer_to(*scripts: Script, requests: int = 1, **options: Any) -> Completion:
    """The answer of a server that plays these scripts."""
    async with scripted(*scripts, **options) as (_, server):
        return await ask(model_of(server, requests=requests))
