"""Real sandboxes for tests; a test is skipped without one, or fails if it is required."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache

import anyio
import pytest

from llmbench.errors import SandboxError
from llmbench.plan import bundled_dir
from llmbench.runners import Runner, load_runners
from llmbench.sandboxes.base import Sandbox, SandboxSpec
from llmbench.sandboxes.open import open_sandbox

CONFINED = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("docker-warm", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
]
GVISOR = pytest.param("docker-runsc", marks=pytest.mark.docker)
"""Docker with gVisor as its runtime."""

SPECS = {
    "docker": SandboxSpec("docker", no_build=True),
    "docker-warm": SandboxSpec("docker", reuse_containers=True, no_build=True),
    "docker-runsc": SandboxSpec("docker", runtime="runsc", no_build=True),
    "bubblewrap": SandboxSpec("bubblewrap"),
}
RUNNERS = load_runners(bundled_dir("runners"))
REQUIRED = os.environ.get("LLMBENCH_REQUIRE_SANDBOXES", "").split(",")


@lru_cache
def missing(kind: str) -> str | None:
    """Return the reason why this kind of sandbox cannot be used here, or None if it can."""

    async def check() -> None:
        sandbox = await open_sandbox(
            SPECS[kind],
            RUNNERS,
            run_id=f"check-{os.getpid()}",
            own_answers=False,
            notify=ignore,
        )
        await sandbox.aclose()

    try:
        anyio.run(check)
    except SandboxError as error:
        return str(error)
    return None


@asynccontextmanager
async def opened(kind: str, runners: Mapping[str, Runner]) -> AsyncIterator[Sandbox]:
    """Open a sandbox of this kind; skip the test if it is missing, unless it is required."""
    try:
        sandbox = await open_sandbox(
            SPECS[kind],
            runners,
            run_id=f"test-{os.getpid()}",
            own_answers=False,
            notify=ignore,
        )
    except SandboxError as error:
        if kind in REQUIRED:
            pytest.fail(f"{kind} is required here: {error}")
        pytest.skip(str(error))
    try:
        yield sandbox
    finally:
        await sandbox.aclose()


def ignore(_: str) -> None:
    """Drop a line."""
