"""A connection to one server, and the models that it offers."""

import logging
import os
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from llmbench.errors import UsageError
from llmbench.models.errors import ErrorMapper
from llmbench.models.limits import AdaptiveConcurrency, ServerLimits
from llmbench.models.pricing import Price, offered_price
from llmbench.models.protocols import PROTOCOLS
from llmbench.models.providers import Provider, is_loopback, resolve_base_url
from llmbench.plan import RequestTimeouts
from llmbench.records import Target
from llmbench.served import UNDESCRIBED, ServedModel

T = TypeVar("T")

logger = logging.getLogger(__name__)

TRANSPORT_ERRORS = (httpx.HTTPError, aiohttp.ClientError)
"""Errors of a broken connection; the transport passes some errors of aiohttp on as they are."""

LIST_TIMEOUT_SECONDS = 30.0

KEEP_ALIVE_SECONDS = 4.0
"""An idle connection is closed after this, before the 5 s after which common servers do so."""

HEADER_BYTES = 65536
"""Longest header of a response that is read; some proxies send long traces."""

ERROR_BODY_BYTES = 65536
MAX_MODELS_LISTED = 20

CONTEXT_FIELDS = (
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
NOT_CHAT_ID = re.compile(
    r"embed|rerank|whisper|moderation|transcri|dall-e|image|diffusion|realtime"
    r"|(^|[/_.:-])(tts|asr|bge|gte|e5|clip|sora|flux|babbage|davinci)([/_.:-]|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A chat model of a server; price, context in tokens and state as far as the server says.

    `served` is the description of the model by a server that says more than the protocol asks for.
    """

    id: str
    price: Price | None = None
    context: int | None = None
    loaded: bool | None = None
    served: ServedModel = UNDESCRIBED


LoadListener = Callable[[Target, float], Awaitable[None]]
"""Called once a model is loaded, with the seconds that the request took which loaded it."""


async def ignore_load(_target: Target, _seconds: float) -> None:
    """Ignore that a model was loaded."""


@dataclass(frozen=True, slots=True)
class Server:
    """An open client of one server. The key is in its Authorization header and nowhere else."""

    provider: Provider
    base_url: str
    client: httpx.AsyncClient = field(repr=False)
    timeouts: RequestTimeouts
    limiter: AdaptiveConcurrency
    on_loaded: LoadListener = ignore_load

    def url_of(self, path: str) -> str:
        """Return the address of a path that is relative to the server's address."""
        return str(self.client.base_url.join(path))

    def error_mapper(self, source: str) -> ErrorMapper:
        """Return the mapper of this server's errors, whose messages begin with `source`."""
        protocol = PROTOCOLS[self.provider.protocol]
        value = self.client.headers.get(protocol.key_header, "")
        key = value.removeprefix(protocol.key_scheme) or None
        return ErrorMapper(source, self.base_url, self.provider, key)

    async def list_models(self) -> list[ModelInfo]:
        """Return the chat models that the server offers, each once, in its order.

        Raises:
            UnreachableError: No connection could be made.
            ModelError: The server does not list its models.
        """
        return await self._get(PROTOCOLS[self.provider.protocol].models_path, parse_models)

    async def _get(self, path: str, parse: Callable[[Any], T]) -> T:
        errors = self.error_mapper(self.base_url)
        timeout = httpx.Timeout(LIST_TIMEOUT_SECONDS, connect=self.timeouts.connect)
        logger.debug("GET %s from %s", path, self.base_url)
        try:
            response = await self.client.get(path, timeout=timeout)
        except TRANSPORT_ERRORS as exception:
            error = errors.from_exception(exception)
        else:
            if response.is_success:
                try:
                    return parse(response.json())
                except (ValueError, TypeError, AttributeError, LookupError):
                    content_type = response.headers.get("content-type", "")
                    error = errors.unexpected_content(content_type, "list of models")
            else:
                error = errors.from_status(
                    response.status_code, response.headers, response.content[:ERROR_BODY_BYTES]
                )
        raise error  # outside `except`, whose exception can hold the request's headers

    async def aclose(self) -> None:
        """Close all connections."""
        await self.client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class _Transport(AiohttpTransport):
    """A transport without a bound of connections, which reads headers of up to HEADER_BYTES."""

    def get_client(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ssl=self.ssl_context
        )
        return aiohttp.ClientSession(
            connector=connector, max_line_size=HEADER_BYTES, max_field_size=HEADER_BYTES
        )


def connect(
    provider: Provider,
    base_url: str | None = None,
    key: str | None = None,
    timeouts: RequestTimeouts | None = None,
    limiter: AdaptiveConcurrency | None = None,
    address: str | None = None,
) -> Server:
    """Return a client of the server at `base_url` (default: the provider's); nothing is sent yet.

    `address` is where the server was found if `base_url` does not reach it from here. Pass the
    `limiter` of the address if several clients share it. Connections are unlimited: slots bound the
    requests.

    Raises:
        UsageError: The address is missing or wrong, or its proxy or the certificates are, which
            variables of the environment name.
    """
    url = resolve_base_url(provider, base_url)
    proxy = _proxy(url)
    timeouts = timeouts or RequestTimeouts()
    # Some proxies would hold a compressed stream back until a block is full.
    headers = {"Accept-Encoding": "identity", "User-Agent": "llmbench"}
    protocol = PROTOCOLS[provider.protocol]
    headers |= protocol.headers
    if key:
        headers[protocol.key_header] = protocol.key_scheme + key
    try:
        client = httpx.AsyncClient(
            base_url=address or url,
            headers=headers,
            timeout=httpx.Timeout(None, connect=timeouts.connect),
            transport=_Transport(
                verify=_certificates() if url.startswith("https") or proxy else False,
                proxy=httpx.Proxy(proxy) if proxy else None,
                trust_env=False,
            ),
            trust_env=False,
        )
    except (httpx.InvalidURL, ValueError):
        raise UsageError(
            f"--base-url {url}: not an address like http://localhost:1234/v1"
        ) from None
    if limiter is None:
        limits = ServerLimits(provider.concurrency, provider.rpm, provider.tpm)
        limiter = AdaptiveConcurrency(url, limits, local=provider.local)
    return Server(provider, url, client, timeouts, limiter)


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address; this machine's own have none.

    Raises:
        UsageError: It is not the address of an HTTP proxy.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    name = parts.scheme if proxies.get(parts.scheme) else "all"
    proxy = proxies.get(name, "")
    if not proxy or is_loopback(url) or proxy_bypass(parts.hostname or ""):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        address = urlsplit(proxy)
        valid = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        valid = False
    if not valid:
        no_password = (
            f"{proxy.partition('://')[0]}://{proxy.rpartition('@')[2].rpartition('//')[2]}"
        )
        raise UsageError(
            f"{name.upper()}_PROXY {no_password}: not an HTTP proxy",
            hint=f"set it to http://HOST:PORT, or name {parts.hostname} in NO_PROXY",
        )
    return proxy


def _certificates() -> ssl.SSLContext:
    """Return the trusted certificates: those that the environment names, else the usual ones.

    Raises:
        UsageError: They cannot be read.
    """
    name = next((n for n in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(n)), None)
    if name is None:
        return httpx.create_ssl_context(trust_env=False)
    path = Path(os.environ[name])
    try:
        if name == "SSL_CERT_FILE":
            return ssl.create_default_context(cafile=path)
        next(path.iterdir(), None)
        return ssl.create_default_context(capath=path)
    except ssl.SSLError:
        reason = "holds no certificate"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    raise UsageError(f"{name} {path}: {reason}", hint="correct this variable, or unset it")


def choose_model(models: Sequence[str], base_url: str) -> str:
    """Return the only model of a server.

    Raises:
        UsageError: The server offers none or several, which are listed.
    """
    if len(models) == 1:
        return models[0]
    if not models:
        hint = "load one, or name one with --model NAME"
        raise UsageError(f"{base_url} offers no chat model", hint=hint)
    names = ", ".join(models[:MAX_MODELS_LISTED])
    others = len(models) - MAX_MODELS_LISTED
    more = f" and {others} more" if others > 0 else ""
    raise UsageError(
        f"{base_url} offers {len(models)} models",
        hint=f"choose with --model NAME from {names}{more}",
    )


def parse_models(body: Any) -> list[ModelInfo]:
    """Return the models of a `/models` answer that can chat, each once."""
    models: dict[str, ModelInfo] = {}
    for item in _items(body):
        if _can_chat(item):
            id_ = str(item["id"])
            status = item.get("status")
            value = status.get("value") if isinstance(status, Mapping) else None
            loaded = None if value is None else value == "loaded"
            models.setdefault(id_, ModelInfo(id_, offered_price(item), _context(item), loaded))
    return list(models.values())


def _items(body: Any) -> Sequence[Any]:
    items = body if isinstance(body, list) else body["data"] if "data" in body else body["models"]
    return items or ()


def _context(item: Mapping[str, Any]) -> int | None:
    """Return the context in tokens from any of the fields that servers use."""
    meta = item.get("meta")
    mappings = (item, meta if isinstance(meta, Mapping) else {})
    values = (mapping.get(name) for mapping in mappings for name in CONTEXT_FIELDS)
    return next((int(value) for value in values if type(value) is int and value > 0), None)


def _can_chat(item: Mapping[str, Any]) -> bool:
    """True for a chat model: by the server's declaration if there is one, else by the id."""
    declared = item.get("type")
    if isinstance(declared, str):
        return declared in CHAT_TYPES
    capabilities = item.get("capabilities")
    if isinstance(capabilities, Mapping) and "completion_chat" in capabilities:
        return bool(capabilities["completion_chat"])
    architecture = item.get("architecture")
    if isinstance(architecture, Mapping) and "output_modalities" in architecture:
        return "text" in architecture["output_modalities"]
    return NOT_CHAT_ID.search(str(item["id"])) is None
