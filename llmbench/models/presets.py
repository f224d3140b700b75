"""The servers that llmbench knows by name, as data."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from llmbench.errors import UsageError

LOCAL_CONCURRENCY = 1
"""A local server answers one request at a time unless it was set up otherwise: a queue inside it
would count as time to first token."""

CLOUD_CONCURRENCY = 8


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of server: where it is, how it is opened, what to do when it does not answer.

    `base_url` is None where only the user can know it. `key_env` names the environment variable
    of the key; `concurrency` is the default number of answers that stream at once, `rpm` and
    `tpm` bound requests and tokens per minute. `loaded_at` is the path, from the root of the
    server, of a list that tells which models are loaded; where there is none, what it offers is.
    `refuses` names sampling parameters that are known to be refused; `extra` is sent with each
    request as it is. A `local` server is warmed up.
    """

    name: str
    base_url: str | None
    key_env: str | None = None
    key_required: bool = False
    local: bool = False
    concurrency: int = CLOUD_CONCURRENCY
    loaded_at: str | None = None
    rpm: float | None = None
    tpm: float | None = None
    refuses: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    start_hint: str = "check the network connection and --base-url"


def _local(
    name: str,
    port: int,
    start: str,
    key_env: str | None = None,
    concurrency: int = LOCAL_CONCURRENCY,
    loaded_at: str | None = None,
) -> Provider:
    hint = f"start {start}, or give --base-url"
    url = f"http://localhost:{port}/v1"
    return Provider(
        name,
        url,
        key_env,
        local=True,
        concurrency=concurrency,
        loaded_at=loaded_at,
        start_hint=hint,
    )


def _cloud(name: str, base_url: str, key_env: str) -> Provider:
    return Provider(name, base_url, key_env, key_required=True)


PROVIDERS: Mapping[str, Provider] = {
    preset.name: preset
    for preset in (
        _local(
            "lmstudio",
            1234,
            "LM Studio's server (Developer tab)",
            "LM_API_TOKEN",
            loaded_at="/api/v0/models",
        ),
        _local("ollama", 11434, "Ollama (`ollama serve`)", loaded_at="/api/ps"),
        _local("llamacpp", 8080, "llama-server", "LLAMA_API_KEY"),
        _local("vllm", 8000, "vLLM (`vllm serve`)", "VLLM_API_KEY", concurrency=16),
        _cloud("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        _cloud("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        _cloud("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY"),
        _cloud(
            "gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY"
        ),
        _cloud("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        _cloud("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
        _cloud("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        Provider(
            "openai-compatible",
            None,
            "OPENAI_COMPATIBLE_API_KEY",
            start_hint="start the server, or check --base-url",
        ),
        Provider(
            "demo", None, local=True, start_hint="this is a fault of llmbench: please report it"
        ),
    )
}


def read_key(preset: Provider, environ: Mapping[str, str] = os.environ) -> str | None:
    """The key of a preset from the environment; None where none is set and none is needed.

    Raises:
        UsageError: the variable is missing, or what it holds cannot be a key.
    """
    if preset.key_env is None:
        return None
    key = environ.get(preset.key_env, "").strip()
    if not key:
        if preset.key_required:
            raise UsageError(f"--provider {preset.name} needs a key: set {preset.key_env}")
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{preset.key_env} cannot be a key: it holds blanks or odd characters")
    return key


def resolve_base_url(preset: Provider, given: str | None = None) -> str:
    """The address to ask, without a trailing slash: as given, else the preset's.

    `/v1` is added to an address without a path, and `/chat/completions` is taken off.

    Raises:
        UsageError: no address is known, or it is not the plain address of a server.
    """
    url = (given or preset.base_url or "").strip()
    if not url:
        raise UsageError(
            f"--provider {preset.name} has no address of its own: give --base-url http://HOST:PORT/v1"
        )
    check_open(url)
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise UsageError(f"--base-url {url}: not an address like http://localhost:1234/v1")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def check_open(url: str) -> None:
    """Refuse an address that could hold a secret: runs write it down.

    Raises:
        UsageError: it holds a name, password or parameter.
    """
    if any(mark in url for mark in "@?#"):
        raise UsageError(
            "--base-url must hold no name, password or parameter: keys come from variables"
        )


def is_loopback(url: str) -> bool:
    """True when an address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
