"""WSL2: servers on Windows, where `localhost` of Linux is another machine.

WSL2's own network (NAT) reaches Windows at the default gateway. With mirrored networking both share
`localhost`, and nothing here is used.
"""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from llmbench.models.providers import Provider, is_loopback

VERSION = Path("/proc/version")
ROUTES = Path("/proc/net/route")
ANY, HAS_GATEWAY = "00000000", 2
"""Destination of the default route, and the flag of a route with a gateway (RTF_GATEWAY)."""

PROBE_SECONDS = 1.0
"""Longest wait for a connection; Windows and WSL are the same computer."""

MIRRORED = "set networkingMode=mirrored in .wslconfig"


def windows_host() -> str | None:
    """Return the address of Windows as WSL2 sees it; None where this is not WSL2."""
    try:
        if "microsoft" not in VERSION.read_text().lower():
            return None
        lines = ROUTES.read_text().splitlines()[1:]
    except OSError:
        return None
    for fields in map(str.split, lines):
        if len(fields) > 3 and fields[1] == ANY and int(fields[3], 16) & HAS_GATEWAY:
            return socket.inet_ntoa(bytes.fromhex(fields[2])[::-1])
    return None


async def locate(
    provider: Provider, url: str, notify: Callable[[str], None]
) -> tuple[Provider, str]:
    """Return a provider and the address to connect to for `url`.

    Under WSL2 that is the Windows host if nothing listens at this machine's own address; `notify`
    gets a line about it. If nothing listens there either, the provider's hint says what to set.
    """
    host = windows_host() if is_loopback(url) else None
    if host is None or await _listens(url):
        return provider, url
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    other = parts._replace(netloc=f"{host}{port}").geturl()
    if await _listens(other):
        notify(f"{url} does not answer; using {other}, the Windows host of this WSL2")
        return provider, other
    hint = (
        f"{provider.start_hint}; if the server runs on Windows (neither {url} nor {other} answers "
        f"in WSL2): {provider.serve_hint}, or {MIRRORED}"
    )
    return replace(provider, start_hint=hint), url


async def _listens(url: str) -> bool:
    """True if something accepts connections at an address."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with anyio.fail_after(PROBE_SECONDS):
            async with await anyio.connect_tcp(parts.hostname or "", port):
                return True
    except (OSError, TimeoutError):
        return False
