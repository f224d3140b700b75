"""Questions to a server about itself and its models, which never cost a run anything."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import anyio

from llmbench.models.served_formats import ANY, Served, text
from llmbench.models.server import TRANSPORT_ERRORS, ModelInfo, Server
from llmbench.models.server_kinds import SERVER_KINDS, ServerKind, Source
from llmbench.served import UNDESCRIBED, ServedModel

logger = logging.getLogger(__name__)

PROBE_SECONDS = 3.0
"""Longest wait for one answer; all questions to recognise a server are asked at once."""

UNLOAD_SECONDS = 60.0
LOAD_SECONDS = 900.0
MAX_BODY_BYTES = 16 * 1024**2


class Inspector:
    """Asks one server about itself and its models.

    Servers of other kinds, and everything that goes wrong, lead to descriptions without values.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._kind: ServerKind | None = None
        self._identity = UNDESCRIBED
        self._recognised = not server.provider.inspect
        self._lock = anyio.Lock()

    async def kind(self) -> ServerKind | None:
        """Return the kind of the server, or None if it is none of `SERVER_KINDS`."""
        async with self._lock:
            if not self._recognised:
                self._recognised = True
                await self._recognise()
        return self._kind

    async def describe(self, model: str) -> ServedModel:
        """Return everything that the server says about a model."""
        kind = await self.kind()
        if kind is None:
            return UNDESCRIBED
        described = self._identity
        for source in kind.sources:
            if source.loaded_only and not described.loaded:
                continue
            described = described.or_else(_find(await self._read(source, model), source, model))
        return described

    async def describe_all(self) -> Served:
        """Return everything that the server says about all of its models in few requests."""
        kind = await self.kind()
        described: Served = {}
        lists_loaded = False
        for source in kind.sources if kind else ():
            if source.of_one_model:
                continue
            for id_, model in (await self._read(source) or {}).items():
                described[id_] = described.get(id_, self._identity).or_else(model)
            lists_loaded |= source.lists_loaded
        if lists_loaded:
            unloaded = ServedModel(loaded=False)
            described = {id_: model.or_else(unloaded) for id_, model in described.items()}
            described.setdefault(ANY, self._identity.or_else(unloaded))
        return described

    async def unload(self, model: str) -> bool:
        """Unload a model; returns True if the server has done so."""
        kind = await self.kind()
        if kind is None or kind.unload is None:
            return False
        unload, ids = kind.unload, [model]
        if unload.instances is not None:
            ids = unload.instances(await self._fetch(unload.list_path), model)
        done = bool(ids)
        for id_ in ids:
            body = {
                name: value.replace("{model}", id_) if isinstance(value, str) else value
                for name, value in unload.body.items()
            }
            path = unload.path.replace("{model}", quote(id_))
            done &= await self._request(path, body, UNLOAD_SECONDS) is not None
        return done

    async def load(self, model: str, context: int) -> float | None:
        """Load a model with a context of so many tokens, unless it is loaded so.

        Returns the seconds that it took, or None if the server failed or takes no context.
        """
        kind, before = await self.kind(), await self.describe(model)
        if kind is None or not kind.load_path:
            return None
        if before.loaded and before.context_length == context:
            return 0.0
        if before.loaded:
            await self.unload(model)
        began = time.monotonic()
        body = {"model": model, "context_length": context}
        loaded = await self._request(kind.load_path, body, LOAD_SECONDS)
        return None if loaded is None else time.monotonic() - began

    async def _recognise(self) -> None:
        answers: dict[str, Any] = {}

        async def ask(path: str) -> None:
            answers[path] = await self._fetch(path)

        async with anyio.create_task_group() as tasks:
            for path in {kind.sign_path for kind in SERVER_KINDS}:
                tasks.start_soon(ask, path)
        self._kind = next(
            (kind for kind in SERVER_KINDS if kind.sign(answers[kind.sign_path])), None
        )
        if self._kind is None:
            return
        version = None
        if self._kind.version_path:
            version = text(await self._fetch(self._kind.version_path), "version")
        self._identity = ServedModel(server=self._kind.name, server_version=version)
        logger.debug("%s is %s", self._server.base_url, self._identity.server_label)

    async def _read(self, source: Source, model: str = "") -> Served | None:
        path = source.path.replace("{model}", quote(model))
        body = await self._fetch(path, {"model": model} if source.posts_model else None)
        return None if body is None else source.parse(body)

    async def _fetch(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON at a path, or None."""
        content = await self._request(path, body, PROBE_SECONDS)
        try:
            return None if content is None else json.loads(content)
        except (ValueError, RecursionError):
            return None

    async def _request(
        self, path: str, body: Mapping[str, Any] | None, seconds: float
    ) -> bytes | None:
        """Return the content at a path from the root of the server, or None without success."""
        url = str(self._server.client.base_url).rstrip("/").removesuffix("/v1") + path
        method = "GET" if body is None else "POST"
        content = b""
        with anyio.move_on_after(seconds):
            try:
                async with self._server.client.stream(method, url, json=body) as response:
                    async for part in response.aiter_bytes():
                        content += part
                        if len(content) > MAX_BODY_BYTES:
                            return None
                    return content if response.is_success else None
            except TRANSPORT_ERRORS:
                return None
        return None


async def describe_models(server: Server) -> list[ModelInfo]:
    """Return the chat models that a server offers, with everything that it says about them.

    Raises:
        UnreachableError: No connection could be made.
        ModelError: The server does not list its models.
    """
    models = await server.list_models()
    described = await Inspector(server).describe_all()
    return [_with_description(model, described) for model in models]


def _with_description(model: ModelInfo, described: Served) -> ModelInfo:
    served = described.get(model.id) or described.get(ANY, UNDESCRIBED)
    context = served.context_length or model.context
    loaded = model.loaded if served.loaded is None else served.loaded
    return replace(model, context=context, loaded=loaded, served=served)


def _find(served: Served | None, source: Source, model: str) -> ServedModel:
    """Return the description of a model in an answer."""
    if served is None:
        return UNDESCRIBED
    unlisted = ServedModel(loaded=False) if source.lists_loaded else UNDESCRIBED
    return served.get(model) or served.get(ANY, unlisted)
