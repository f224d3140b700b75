"""Opens real sandboxes for tests, or skips, or fails where they are required."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from llmbench.errors import SandboxError
from llmbench.sandboxes.base import Sandbox, SandboxChoice
from llmbench.sandboxes.choose import open_sandbox
from llmbench.sandboxes.runners import Runner

CONFINED = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("docker-warm", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
]
REQUIRED = os.environ.get("LLMBENCH_REQUIRE_SANDBOXES", "").split(",")


@asynccontextmanager
async def opened(kind: str, runners: Mapping[str, Runner]) -> AsyncIterator[Sandbox]:
    """A sandbox of this kind; its absence skips the test unless it is required here."""
    run_id = f"test-{os.getpid()}"
    name, _, warm = kind.partition("-")
    choice = SandboxChoice("bubblewrap" if name == "bubblewrap" else "docker", warm=bool(warm))
    try:
        sandbox = await open_sandbox(
            choice,
            runners,
            run_id=run_id,
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
