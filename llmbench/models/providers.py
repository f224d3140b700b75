"""The providers that llmbench knows by name, with those that the user adds in a file."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmbench.errors import UsageError

DEFAULT_FILE = Path("llmbench.yaml")
"""Read if it exists and no other file is named."""

LOCAL_CONCURRENCY = 1
"""A local server answers one request at a time unless it is set up otherwise. A queue inside it
would count as time to first token."""

CLOUD_CONCURRENCY = 8

EMBEDDED = "embedded"
"""Address of a target whose provider replays answers: the port differs from run to run."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of server: its address, its limits, and advice for when it does not answer.

    `base_url` is None if only the user knows it. `key_env` names the environment variable of the
    key. `protocol` is a name in `protocols.PROTOCOLS`. `local` means that models are loaded before
    they are timed, and are used one after the other. `replays` means that an embedded server
    replays recorded answers and no model is involved. `concurrency` is the number of answers that
    stream at once; `rpm` and `tpm` bound requests and tokens per minute. `inspect` is False if the
    server is known to say no more about its models than the protocol does. `refuses` names sampling
    parameters that the server is known to refuse; `extra` is added to each request. `start_hint`
    says how to start the server, and `serve_hint` how other machines may reach it.
    """

    name: str
    base_url: str | None
    key_env: str | None = None
    key_required: bool = False
    protocol: str = "chat"
    local: bool = False
    replays: bool = False
    concurrency: int = CLOUD_CONCURRENCY
    rpm: float | None = None
    tpm: float | None = None
    inspect: bool = True
    refuses: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    start_hint: str = "check the network connection and --base-url"
    serve_hint: str = "let it listen on all addresses (0.0.0.0)"


def _local(name: str, port: int, start: str, **fields: Any) -> Provider:
    fields = {"concurrency": LOCAL_CONCURRENCY, **fields}
    hint = f"start {start}, or give --base-url"
    return Provider(name, f"http://localhost:{port}/v1", local=True, start_hint=hint, **fields)


def _cloud(name: str, base_url: str, key_env: str, protocol: str = "chat") -> Provider:
    return Provider(name, base_url, key_env, key_required=True, protocol=protocol, inspect=False)


_GOOGLE_URL = "https://generativelanguage.googleapis.com/v1beta/openai"
_LM_STUDIO = "LM Studio's server (Developer tab)"
_OWN_SERVER_HINT = "start the server, or check --base-url"
_REPLAY_HINT = "this is a bug in llmbench: please report it"

_ROWS = (
    _local(
        "lmstudio",
        1234,
        _LM_STUDIO,
        key_env="LM_API_TOKEN",
        serve_hint='turn on "Serve on Local Network" in LM Studio',
    ),
    _local(
        "ollama",
        11434,
        "Ollama (`ollama serve`)",
        serve_hint="set OLLAMA_HOST=0.0.0.0",
        protocol="ollama",
    ),
    _local("llamacpp", 8080, "llama-server", key_env="LLAMA_API_KEY"),
    _local("vllm", 8000, "vLLM (`vllm serve`)", key_env="VLLM_API_KEY", concurrency=16),
    _cloud("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    _cloud("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    _cloud("anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", "messages"),
    _cloud("gemini", _GOOGLE_URL, "GEMINI_API_KEY"),
    _cloud("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    _cloud("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    _cloud("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    Provider("openai-compatible", None, "OPENAI_COMPATIBLE_API_KEY", start_hint=_OWN_SERVER_HINT),
    Provider("demo", None, replays=True, inspect=False, start_hint=_REPLAY_HINT),
)

PROVIDERS: Mapping[str, Provider] = {provider.name: provider for provider in _ROWS}


def load_providers(path: Path | None) -> dict[str, Provider]:
    """Return all providers by name: those of llmbench, changed and extended by a file.

    Raises:
        UsageError: The file cannot be read, or an entry is wrong.
    """
    providers = dict(PROVIDERS)
    path = _config_file(path)
    if path is None:
        return providers
    # Imported here because it loads pydantic, and --help needs the names alone.
    from llmbench.models.provider_file import read_entries

    for name, fields in read_entries(path).items():
        like = fields.pop("like", "") or (name if name in providers else "openai-compatible")
        if like not in providers:
            raise UsageError(f"{path}: providers.{name}.like: there is no provider {like!r}")
        if "refuses" in fields:
            fields["refuses"] = tuple(fields["refuses"])
        if fields.get("key_env"):
            fields["key_required"] = True
        if fields.get("base_url"):  # a server of one's own is not the embedded one
            fields["replays"] = False
        providers[name] = replace(providers[like], name=name, **fields)
    return providers


def load_runner_paths(path: Path | None) -> tuple[Path, ...]:
    """Return the folders of languages that a file names; relative ones begin at its folder.

    Raises:
        UsageError: The file cannot be read, or an entry is wrong.
    """
    path = _config_file(path)
    if path is None:
        return ()
    # Imported here because it loads pydantic, and --help needs the names alone.
    from llmbench.models.provider_file import read_runners

    return tuple(path.parent / runner for runner in read_runners(path))


def _config_file(path: Path | None) -> Path | None:
    """The file that the user gave, else the one in this folder, if there is one."""
    return path or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)


def get_provider(name: str, providers: Mapping[str, Provider]) -> Provider:
    """Return the provider of this name.

    Raises:
        UsageError: There is none.
    """
    if name not in providers:
        raise UsageError(f"there is no provider {name!r}; known: {', '.join(providers)}")
    return providers[name]


def is_replayed(name: str) -> bool:
    """True if the provider of this name replays recorded answers, by the table of llmbench."""
    return name in PROVIDERS and PROVIDERS[name].replays


def read_key(provider: Provider, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the key of a provider from the environment, or None if it needs none.

    Raises:
        UsageError: The variable is missing, or its value cannot be a key.
    """
    if provider.key_env is None:
        return None
    key = environ.get(provider.key_env, "").strip()
    if not key:
        if provider.key_required:
            needs_key = f"--provider {provider.name} needs a key"
            raise UsageError(needs_key, hint=f"set {provider.key_env}")
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{provider.key_env} cannot be a key: it has spaces or odd characters")
    return key


def resolve_base_url(provider: Provider, base_url: str | None = None) -> str:
    """Return the address of the server without a trailing slash; `base_url` comes first.

    `/v1` is added to an address without a path, and `/chat/completions` is removed.

    Raises:
        UsageError: No address is known, or it is not the plain address of a server.
    """
    url = (base_url or provider.base_url or "").strip()
    if not url:
        raise UsageError(
            f"--provider {provider.name} has no address of its own",
            hint="give --base-url http://HOST:PORT/v1",
        )
    refuse_secrets_in_url(url)
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"--base-url {url}: not an address like http://localhost:1234/v1")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def refuse_secrets_in_url(url: str) -> None:
    """Refuse an address that could hold a secret, because runs write it down.

    Raises:
        UsageError: It holds a name, password or parameter.
    """
    if any(mark in url for mark in "@?#"):
        raise UsageError(
            "--base-url must hold no name, password or parameter: keys come from variables"
        )


def machine_of(url: str) -> str:
    """Return the name of the machine that an address leads to, one name for this machine."""
    return "localhost" if is_loopback(url) else urlsplit(url).hostname or ""


def is_loopback(url: str) -> bool:
    """True if an address is one of this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
