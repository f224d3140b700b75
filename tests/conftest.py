"""Fixtures and hooks for all tests."""

import json
import os
import re
import socket
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.terminal import TerminalReporter
from helpers import file_trace, remembered
from helpers.browser import chromium, opened  # noqa: F401  # fixtures
from helpers.remembered import Group
from helpers.sandboxes import REQUIRED, missing
from xdist.scheduler import LoadScopeScheduling

# A busy machine is slow: speed is for benchmarks to measure, and no example fails for it.
hypothesis.settings.register_profile(
    "llmbench", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("llmbench")

PARTS = ("docker", "bubblewrap", "browser", "servers")
"""Markers of tests that need a part which a machine may not have."""

KIND = re.compile(r"[\[-](docker-warm|docker-runsc|docker|bubblewrap|process)(?=[\]-])")

PASSED = pytest.StashKey[bool]()
"""True for a test whose body has passed."""

LONG = ("test_shipped_problems.py", "test_chaos.py")
"""Files whose tests take the longest; they come first, so that no worker waits for them alone."""

REMEMBERED = "remembered: passed before with the same sources, packages, images and tools"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""
    items.sort(key=lambda item: item.path.name not in LONG)


def pytest_configure() -> None:
    """Watch what tests read, if the gate remembers tests."""
    if remembered.of_gate():
        file_trace.install()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Note what a test file reads while it is imported."""
    known = remembered.of_gate()
    if known is None or not isinstance(collector, pytest.Module):
        return (yield)
    with known.importing(collector.path):
        return (yield)


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Lets one worker run all tests of a file in one sandbox, which is then set up once.

    Tests of the files in LONG share nothing and are a group each. Groups by markers
    (`--dist loadgroup`) have no effect: pytest-xdist 3.8 adds them to names that pytest 9.2 does
    not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return nodeid if path.endswith(LONG) else f"{path} {kind_of(nodeid)}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling | None:
    """Distribute groups with `--dist loadgroup`."""
    return GroupScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def kind_of(nodeid: str) -> str:
    """Return the kind of sandbox in the parameters of a test, or nothing."""
    kind = KIND.search(nodeid)
    return kind[1] if kind else ""


def group_of(item: pytest.Item) -> Group:
    """Return the group with which a test is remembered."""
    fixed = item.get_closest_marker("fixed_verdict") is not None
    return Group(item.path, kind_of(item.nodeid), fixed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note what a test reads, also in its fixtures."""
    known = remembered.of_gate()
    if known is None:
        return (yield)
    with known.watching(group_of(item)):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose marker names a sandbox that is missing here; fail if it is required.

    A test is skipped, too, if nothing has changed since it passed.

    This comes before the fixtures of the test, which may need the sandbox themselves.
    """
    known = remembered.of_gate()
    if known and known.is_known(group_of(item), item.nodeid):
        pytest.skip(REMEMBERED)
    for kind in ("docker", "bubblewrap"):
        if item.get_closest_marker(kind) is None:
            continue
        reason = missing(kind)
        if reason is not None:
            (pytest.fail if kind in REQUIRED else pytest.skip)(f"{kind}: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember a test that passed, and whose fixtures ended well."""
    report = yield
    known = remembered.of_gate()
    if known and call.when == "call" and report.passed:
        item.stash[PASSED] = True
    if known and call.when == "teardown" and report.passed and item.stash.get(PASSED, False):
        known.add(group_of(item), item.nodeid)
    return report


def pytest_sessionfinish() -> None:
    """Write which tests passed."""
    if known := remembered.of_gate():
        known.save()


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print how many tests were remembered.

    Add to the file in LLMBENCH_TEST_SKIPPED the number of tests that each missing part skipped.
    """
    if hasattr(
        terminalreporter.config, "workerinput"
    ):  # a worker, which would count its tests once more
        return
    skipped = terminalreporter.stats.get("skipped", [])
    passed_before = [report for report in skipped if REMEMBERED in str(report.longrepr)]
    if passed_before:
        terminalreporter.write_line(f"remembered: {len(passed_before)} tests, which are not run")
    path = os.environ.get("LLMBENCH_TEST_SKIPPED")
    if path is None:
        return
    counts = Counter(json.loads(Path(path).read_text()) if Path(path).exists() else {})
    counts["remembered"] += len(passed_before)
    for report in skipped:
        if report not in passed_before:
            counts.update(part for part in PARTS if part in report.keywords)
    Path(path).write_text(json.dumps(counts))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine's loopback at which a server listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
