"""The addresses where a container engine may listen, as Docker's own command line finds them.

DOCKER_HOST comes first, then the context of DOCKER_CONTEXT or of `docker context use`, then the
sockets of common engines. aiodocker can do this too, but it ignores DOCKER_CONFIG and prefers the
current context to DOCKER_HOST, so that llmbench would talk to another engine than `docker ps`.
"""

import glob
import hashlib
import json
import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from llmbench.errors import NoSandboxError

SOCKETS = (
    "/var/run/docker.sock",
    "{home}/.docker/run/docker.sock",  # Docker Desktop on macOS
    "{home}/.docker/desktop/docker.sock",  # Docker Desktop on Linux
    "{runtime}/docker.sock",  # rootless Docker
    "{home}/.orbstack/run/docker.sock",
    "{home}/.colima/default/docker.sock",
    "{home}/.colima/docker.sock",
    "{home}/.config/colima/default/docker.sock",
    "{home}/.rd/docker.sock",  # Rancher Desktop
    "{home}/.lima/*/sock/docker.sock",
    "{runtime}/podman/podman.sock",
    "/run/podman/podman.sock",
    "{temporary}/podman/podman-machine-*-api.sock",  # Podman machines, from version 5
    "{home}/.local/share/containers/podman/machine/*/podman.sock",
    "{home}/.local/share/containers/podman/machine/podman.sock",
)
"""Sockets of engines, in the order of trying; `*` stands for any name of a machine."""

TCP_PORT, TLS_PORT = 2375, 2376

NO_CHOICE = "unset DOCKER_HOST, or set it to unix:///PATH or tcp://HOST:PORT"
NO_CONTEXT = "choose another with `docker context use`"

FORWARDED = "/tmp/llmbench-docker.sock"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an engine, and the setting that names it (empty for a common socket).

    `certificates` is the folder of ca.pem, cert.pem and key.pem if the connection uses TLS;
    `verify` is False if the certificate of the engine may be any.
    """

    url: str
    source: str = ""
    certificates: Path | None = None
    verify: bool = True

    def __str__(self) -> str:
        return f"{self.url} ({self.source})" if self.source else self.url

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the settings of TLS; None without TLS.

        Raises:
            NoSandboxError: a certificate is missing or invalid.
        """
        if self.certificates is None:
            return None
        ca, cert, key = (self.certificates / f"{name}.pem" for name in ("ca", "cert", "key"))
        try:
            context = ssl.create_default_context(cafile=ca if self.verify else None)
            if not self.verify:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if cert.exists() or key.exists():
                context.load_cert_chain(cert, key)
        except OSError as error:  # also of a wrong certificate
            missing = [path.name for path in (ca, cert, key) if not path.is_file()]
            reason = f"no {', '.join(missing)}" if missing else error.strerror or error
            raise NoSandboxError(
                f"{self}: no usable certificates in {self.certificates}: {reason}",
                hint="correct DOCKER_CERT_PATH, or the certificates of the context",
            ) from None
        return context


def find_endpoints() -> list[Endpoint]:
    """Return the endpoints to try, in their order: a chosen one alone, else the common sockets.

    Raises:
        NoSandboxError: DOCKER_HOST or the context has no usable address; says what to do.
    """
    if host := os.environ.get("DOCKER_HOST", "").strip():
        verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
        folder = Path(os.environ.get("DOCKER_CERT_PATH") or _config_dir())
        certificates = folder if verify or os.environ.get("DOCKER_TLS") else None
        return [_checked(Endpoint(host, "DOCKER_HOST", certificates, verify), NO_CHOICE)]
    name = os.environ.get("DOCKER_CONTEXT") or _current_context()
    if name and name != "default":
        return [_of_context(name)]
    return [Endpoint(f"unix://{path}") for path in dict.fromkeys(_sockets())]


def _sockets() -> Iterator[Path]:
    """Yield the common sockets that exist."""
    folders = {
        "home": str(Path.home()),
        "runtime": os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}",
        "temporary": tempfile.gettempdir(),
    }
    escaped = {name: glob.escape(folder) for name, folder in folders.items()}
    for pattern in SOCKETS:
        for path in sorted(Path("/").glob(pattern.format(**escaped).lstrip("/"))):
            if path.is_socket():
                yield path


# ---- Contexts ------------------------------------------------------------------------------


def _config_dir() -> Path:
    return Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")


def _current_context() -> str:
    """The name that `docker context use` has stored, or an empty one."""
    path = _config_dir() / "config.json"
    if not path.exists():
        return ""
    return str(_read(path, "Docker's configuration").get("currentContext") or "")


def _of_context(name: str) -> Endpoint:
    source, folder = f"Docker context {name}", _config_dir() / "contexts"
    stored_as = hashlib.sha256(name.encode()).hexdigest()
    path = folder / "meta" / stored_as / "meta.json"
    if not path.exists():
        raise NoSandboxError(f"{source}: there is no {path}", hint=NO_CONTEXT)
    part = _read(path, source)
    for key in ("Endpoints", "docker"):
        part = part.get(key)
        if not isinstance(part, Mapping):
            raise NoSandboxError(f"{source}: {path} names no engine", hint=NO_CONTEXT)
    tls = folder / "tls" / stored_as / "docker"
    certificates = tls if tls.is_dir() else None
    host, verify = part.get("Host"), not part.get("SkipTLSVerify")
    url = host if isinstance(host, str) else ""
    return _checked(Endpoint(url, source, certificates, verify), NO_CONTEXT)


def _read(path: Path, name: object) -> Any:
    """The object in a JSON file; `name` begins the error."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise NoSandboxError(f"{name}: {path} cannot be read ({error})", hint=NO_CONTEXT) from None
    if not isinstance(content, dict):
        raise NoSandboxError(f"{name}: {path} holds no JSON object", hint=NO_CONTEXT)
    return content


# ---- Addresses -----------------------------------------------------------------------------


def _checked(endpoint: Endpoint, hint: str) -> Endpoint:
    """The endpoint with its address in one form.

    Raises:
        NoSandboxError: the address is of no use here.
    """
    # Docker takes an address without a scheme as one of TCP.
    url = endpoint.url if "://" in endpoint.url else f"tcp://{endpoint.url}"
    try:
        parts = urlsplit(url)
        normal = _FORMS[parts.scheme](parts, endpoint.certificates is not None)
    except (KeyError, ValueError):
        raise NoSandboxError(f"{endpoint}: not an address of an engine", hint=hint) from None
    except _UnsupportedError as error:
        raise NoSandboxError(f"{endpoint}: {error.message}", hint=error.hint) from None
    certificates = endpoint.certificates if normal.startswith("https") else None
    return Endpoint(normal, endpoint.source, certificates, endpoint.verify)


class _UnsupportedError(NoSandboxError):
    """An address that Docker knows and llmbench cannot use."""


def _unix(parts: SplitResult, _: bool) -> str:
    if parts.netloc or not parts.path.strip("/"):
        raise ValueError
    return f"unix://{parts.path}"


def _tcp(parts: SplitResult, tls: bool) -> str:
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.port == 0:
        raise ValueError
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or (TLS_PORT if tls else TCP_PORT)
    return f"{'https' if tls or parts.scheme == 'https' else 'http'}://{host}:{port}"


def _ssh(parts: SplitResult, _: bool) -> str:
    port = f"-p {parts.port} " if parts.port else ""
    host = parts.netloc.partition(":")[0] or "HOST"
    forward = f"ssh -fnNT {port}-L {FORWARDED}:/var/run/docker.sock {host}"
    raise _UnsupportedError(
        "llmbench opens no SSH connection",
        hint=f"forward the socket with `{forward}`, then set DOCKER_HOST=unix://{FORWARDED}",
    )


def _npipe(_: SplitResult, __: bool) -> str:
    raise _UnsupportedError(
        "a named pipe of Windows cannot be used here",
        hint="run llmbench in WSL2, and turn on WSL integration in Docker Desktop",
    )


_FORMS = {"unix": _unix, "tcp": _tcp, "http": _tcp, "https": _tcp, "ssh": _ssh, "npipe": _npipe}
"""Functions that return an address in one form, by scheme."""
