"""Fixtures and hooks for all tests."""

import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from _pytest.terminal import TerminalReporter
from helpers import fixed_verdicts
from helpers.sandboxes import REQUIRED, missing

# A busy machine is slow: speed is for benchmarks to measure, and no example fails for it.
hypothesis.settings.register_profile(
    "llmbench", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("llmbench")

PARTS = ("docker", "bubblewrap", "browser", "servers")
"""Markers of tests that need a part which a machine may not have."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker run all tests of a file in one sandbox, which is then set up once."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        params = callspec.params if callspec else {}
        kind = params.get("place") or params.get("kind") or ""
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {kind}"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose marker names a sandbox that is missing here; fail if it is required.

    A fixed program is skipped, too, if nothing has changed since it got its verdict.

    This comes before the fixtures of the test, which may need the sandbox themselves.
    """
    for kind in ("docker", "bubblewrap"):
        if item.get_closest_marker(kind) is None:
            continue
        reason = missing(kind)
        if reason is not None:
            (pytest.fail if kind in REQUIRED else pytest.skip)(f"{kind}: {reason}")
    if item.get_closest_marker("fixed_verdict") and fixed_verdicts.of_gate().is_known(item.nodeid):
        pytest.skip("proved before with the same sandboxes, runners, images and tools")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember a fixed program that got its verdict."""
    if report.when == "call" and report.passed and "fixed_verdict" in report.keywords:
        fixed_verdicts.of_gate().add(report.nodeid)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Add the number of skipped tests of each part to the file in LLMBENCH_TEST_SKIPPED."""
    path = os.environ.get("LLMBENCH_TEST_SKIPPED")
    if path is None:
        return
    skipped = Counter(json.loads(Path(path).read_text()) if Path(path).exists() else {})
    for report in terminalreporter.stats.get("skipped", []):
        skipped.update(part for part in PARTS if part in report.keywords)
    Path(path).write_text(json.dumps(skipped))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine's loopback at which a server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
