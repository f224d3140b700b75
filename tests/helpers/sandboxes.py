"""Opens real sandboxes for tests, or skips, or fails where they are required."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from llmbench.errors import SandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.base import Sandbox, SandboxSpec
from llmbench.sandboxes.open import open_sandbox

CONFINED = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("docker-warm", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
]
GVISOR = pytest.param("docker-runsc", marks=pytest.mark.docker)
"""Docker with gVisor as its runtime."""

REQUIRED = os.environ.get("LLMBENCH_REQUIRE_SANDBOXES", "").split(",")


@asynccontextmanager
async def opened(kind: str, runners: Mapping[str, Runner]) -> AsyncIterator[Sandbox]:
    """A sandbox of this kind; its absence skips the test unless it is required here."""
    place, _, special = kind.partition("-")
    choice = SandboxSpec(
        "bubblewrap" if place == "bubblewrap" else "docker",
        warm=special == "warm",
        runtime="runsc" if special == "runsc" else None,
    )
    try:
        sandbox = await open_sandbox(
            choice,
            runners,
            run_id=f"test-{os.getpid()}",
            own_answers=False,
            notify=_ignore,
        )
    except SandboxError as error:
        if kind in REQUIRED:
            pytest.fail(f"{kind} is required here: {error}")
        pytest.skip(str(error))
    try:
        yield sandbox
    finally:
        await sandbox.aclose()


def _ignore(_: str) -> None:
    """Hear nothing."""
