"""Other servers and keys of this machine, where the server of a run does not answer."""

import os
from collections.abc import Mapping
from contextlib import suppress

import anyio

from llmbench.errors import LlmbenchError
from llmbench.models import wsl
from llmbench.models.providers import Provider, read_key, resolve_base_url
from llmbench.models.server import connect
from llmbench.plan import RequestTimeouts
from llmbench.texts import counted

SECONDS = 2.0
"""Longest wait for each local server, all at the same time."""


async def alternatives(missing: Provider, providers: Mapping[str, Provider]) -> list[str]:
    """Return a line for each local server that answers and each key that is set, or for neither.

    Each line ends with the command to type.
    """
    lines: dict[str, str] = {}
    others = [each for each in providers.values() if each.name != missing.name]

    async def look(provider: Provider) -> None:
        with suppress(LlmbenchError, TimeoutError), anyio.fail_after(SECONDS):
            lines[provider.name] = await _describe(provider)

    async with anyio.create_task_group() as tasks:
        for provider in others:
            if provider.local and provider.base_url:
                tasks.start_soon(look, provider)
    answers = [lines[provider.name] for provider in others if provider.name in lines]
    answers += [
        f"{provider.key_env} is set: llmbench models {provider.name}, "
        f"then llmbench --provider {provider.name} --model MODEL"
        for provider in others
        if provider.key_env and not provider.local and os.environ.get(provider.key_env, "").strip()
    ]
    return answers or [
        "no other local server answers, and no API key is set: "
        "llmbench doctor says what is missing; llmbench --provider demo needs no model"
    ]


async def _describe(provider: Provider) -> str:
    """Return a line about a local server that answers.

    Raises:
        LlmbenchError: it does not answer, or not in its protocol.
    """
    url = resolve_base_url(provider)
    provider, address = await wsl.locate(provider, url, lambda _: None)
    timeouts = RequestTimeouts(connect=SECONDS)
    async with connect(provider, url, read_key(provider), timeouts, address=address) as server:
        models = await server.list_models()
    model = f" --model {models[0].id}" if len(models) > 1 else ""
    offers = counted(len(models), "chat model", "chat models")
    return f"{provider.name} answers with {offers}: llmbench --provider {provider.name}{model}"
