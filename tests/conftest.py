"""Fixtures and settings of all tests."""

import socket
from collections.abc import Iterator

import hypothesis
import pytest

# A busy machine is slow: speed is for benchmarks to measure, and no example fails for it.
hypothesis.settings.register_profile(
    "llmbench", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("llmbench")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker run all tests of a file in one sandbox, so that its set-up is made once."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        params = callspec.params if callspec else {}
        kind = params.get("place") or params.get("kind") or ""
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {kind}"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine's loopback at which a server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
