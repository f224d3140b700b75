"""A connection to one server, and what models it offers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import aiohttp
import httpx
from httpx_aiohttp import HttpxAiohttpClient

from llmbench.errors import ModelError, UsageError
from llmbench.models.errors import ErrorMapper
from llmbench.models.limits import AdaptiveConcurrency, ServerLimits
from llmbench.models.presets import Provider, is_loopback, resolve_base_url
from llmbench.models.pricing import Price, offered_price
from llmbench.plan import RequestTimeouts

T = TypeVar("T")

TRANSPORT_ERRORS = (httpx.HTTPError, aiohttp.ClientError)
"""What a broken connection raises: the transport lets some faults of aiohttp through as they
are."""

LIST_SECONDS = 30.0

KEEP_SECONDS = 4.0
"""How long an idle connection is kept: less than the 5 s after which common servers drop theirs."""

ERROR_BODY_BYTES = 65536
MODELS_SHOWN = 20

CONTEXT_NAMES = (
    "loaded_context_length",
    "context_length",
    "max_context_length",
    "max_model_len",
    "context_window",
    "max_input_tokens",
    "n_ctx",
    "n_ctx_train",
)
CHAT_TYPES = frozenset({"llm", "vlm", "chat", "language", "model"})
NO_CHAT_ID = re.compile(
    r"embed|rerank|whisper|moderation|transcri|dall-e|image|diffusion|realtime"
    r"|(^|[/_.:-])(tts|asr|bge|gte|e5|clip|sora|flux|babbage|davinci)([/_.:-]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A chat model that a server offers; price, context in tokens and state where it tells them."""

    id: str
    price: Price | None = None
    context: int | None = None
    loaded: bool | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """An open client of one server. The key is in its Authorization header and nowhere else."""

    preset: Provider
    base_url: str
    client: httpx.AsyncClient = field(repr=False)
    limits: RequestTimeouts
    traffic: AdaptiveConcurrency

    def faults(self, who: str) -> ErrorMapper:
        """What sorts the faults of this server, told as those of `who`."""
        key = self.client.headers.get("authorization", "").removeprefix("Bearer ") or None
        return ErrorMapper(who, self.base_url, self.preset, key)

    async def list_models(self) -> list[ModelInfo]:
        """The chat models that the server offers, each once, in its order.

        Raises:
            ModelError: the server cannot be reached or does not tell.
        """
        return await self._get("models", parse_models)

    async def describe_models(self) -> list[ModelInfo]:
        """The chat models that the server offers, with what is known of their state.

        Raises:
            ModelError: the server cannot be reached or does not tell.
        """
        offers = await self.list_models()
        if not self.preset.local:
            return offers
        if self.preset.loaded_at is None:
            return [replace(offer, loaded=offer.loaded is not False) for offer in offers]
        try:
            root = str(httpx.URL(self.base_url).join(self.preset.loaded_at))
            loaded = await self._get(root, _loaded)
        except ModelError:
            return offers  # of another kind than its preset says, or older: nobody knows
        return [
            replace(offer, loaded=offer.id in loaded, context=loaded.get(offer.id) or offer.context)
            for offer in offers
        ]

    async def _get(self, path: str, read: Callable[[Any], T]) -> T:
        faults = self.faults(self.base_url)
        timeout = httpx.Timeout(LIST_SECONDS, connect=self.limits.connect)
        try:
            response = await self.client.get(path, timeout=timeout)
        except TRANSPORT_ERRORS as error:
            fault = faults.of_transport(error)
        else:
            if response.is_success:
                try:
                    return read(response.json())
                except (ValueError, TypeError, AttributeError, LookupError):
                    kind = response.headers.get("content-type", "")
                    fault = faults.foreign(kind, "list of models")
            else:
                fault = faults.of_status(
                    response.status_code, response.headers, response.content[:ERROR_BODY_BYTES]
                )
        raise fault  # outside `except`: what the transport raised can hold the request's headers

    async def aclose(self) -> None:
        """Close all connections."""
        await self.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def connect(
    preset: Provider,
    base_url: str | None = None,
    key: str | None = None,
    limits: RequestTimeouts | None = None,
    traffic: AdaptiveConcurrency | None = None,
) -> Server:
    """A client of the server at `base_url` (default: the preset's); nothing is sent yet.

    `traffic` is the limit of that address, where others ask it, too.

    Proxies named in the environment are used, but never for this machine's own addresses. The
    number of connections is not bounded here: whoever asks holds a slot.

    Raises:
        UsageError: the address is missing or wrong.
    """
    url = resolve_base_url(preset, base_url)
    limits = limits or RequestTimeouts()
    # A compressed stream would be held back by some proxies until a block is full.
    headers = {"Accept-Encoding": "identity", "User-Agent": "llmbench"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        client = HttpxAiohttpClient(
            base_url=url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=limits.connect),
            # Zero connections stand for no bound at this transport.
            limits=httpx.Limits(max_connections=0, keepalive_expiry=KEEP_SECONDS),
            trust_env=not is_loopback(url),
        )
    except (httpx.InvalidURL, ValueError):
        raise UsageError(
            f"--base-url {url}: not an address like http://localhost:1234/v1"
        ) from None
    if traffic is None:
        allowed = ServerLimits(preset.concurrency, preset.rpm, preset.tpm)
        traffic = AdaptiveConcurrency(url, allowed, local=preset.local)
    return Server(preset, url, client, limits, traffic)


def choose_model(models: Sequence[str], base_url: str) -> str:
    """The only model of a server.

    Raises:
        UsageError: it offers none or several, which are listed.
    """
    if len(models) == 1:
        return models[0]
    if not models:
        raise UsageError(
            f"{base_url} offers no chat model: load one, or name one with --model NAME"
        )
    shown = ", ".join(models[:MODELS_SHOWN])
    more = f" and {len(models) - MODELS_SHOWN} more" if len(models) > MODELS_SHOWN else ""
    raise UsageError(
        f"{base_url} offers {len(models)} models: choose with --model NAME from {shown}{more}"
    )


def parse_models(body: Any) -> list[ModelInfo]:
    """The models of a `/models` answer that can chat, each once."""
    found: dict[str, ModelInfo] = {}
    for item in _items(body):
        if _can_chat(item):
            id_ = str(item["id"])
            status = item.get("status")
            value = status.get("value") if isinstance(status, Mapping) else None
            loaded = None if value is None else value == "loaded"
            found.setdefault(id_, ModelInfo(id_, offered_price(item), _context(item), loaded))
    return list(found.values())


def _loaded(body: Any) -> dict[str, int | None]:
    """The models of a list that are loaded, and their context; none has a state where all are."""
    return {
        str(item.get("id") or item["name"]): _context(item)
        for item in _items(body)
        if item.get("state", "loaded") == "loaded"
    }


def _items(body: Any) -> Sequence[Any]:
    items = body if isinstance(body, list) else body["data"] if "data" in body else body["models"]
    return items or ()


def _context(item: Mapping[str, Any]) -> int | None:
    """The context in tokens, by whatever name a server gives it."""
    meta = item.get("meta")
    places = (item, meta if isinstance(meta, Mapping) else {})
    told = (place.get(name) for place in places for name in CONTEXT_NAMES)
    return next((int(value) for value in told if type(value) is int and value > 0), None)


def _can_chat(item: Mapping[str, Any]) -> bool:
    """By what the server declares, if it does; else by the id."""
    declared = item.get("type")
    if isinstance(declared, str):
        return declared in CHAT_TYPES
    capabilities = item.get("capabilities")
    if isinstance(capabilities, Mapping) and "completion_chat" in capabilities:
        return bool(capabilities["completion_chat"])
    architecture = item.get("architecture")
    if isinstance(architecture, Mapping) and "output_modalities" in architecture:
        return "text" in architecture["output_modalities"]
    return NO_CHAT_ID.search(str(item["id"])) is None
