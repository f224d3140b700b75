"""Checks of a container engine: its limits, runtimes and images, and containers of dead runs."""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiodocker
import anyio

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.diagnostics import Finding, State
from llmbench.sandboxes.docker import client, images
from llmbench.sandboxes.docker.client import call
from llmbench.sandboxes.docker.images import ImageState

LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "processes",
    "CpuCfsQuota": "processor",
}
"""The limits that an engine reports, by their name in its API, with a plain name."""

GVISOR = "runsc"

_STATES = {
    ImageState.CURRENT: State.OK,
    ImageState.CHANGED: State.WRONG,
    ImageState.UNKNOWN: State.WRONG,
    ImageState.MISSING: State.MISSING,
}


async def findings(runners: Mapping[str, Runner], fix: bool) -> AsyncIterator[Finding]:
    """Check each part of the engine that answers; `fix` removes containers of dead runs."""
    part = "engine"
    try:
        endpoint, docker = await client.connect()
    except NoSandboxError as error:
        yield Finding(part, State.MISSING, error.message, error.hint, required=True)
        return
    try:
        version = client.engine_version(await call("report its version", docker.version()))
        yield Finding(part, State.OK, f"{version} answers at {endpoint}", required=True)
        info = await call("describe itself", docker.system.info())
        yield _limits(info)
        for finding in _runtimes(info):
            yield finding
        yield await _orphans(docker, fix=fix)
        for runner in runners.values():
            yield await _image(docker, runner)
    except SandboxError as error:
        advice = error.hint or "restart the engine"
        yield Finding(part, State.WRONG, error.message, advice, required=True)
    finally:
        with anyio.CancelScope(shield=True):
            await client.close_client(docker)


def _limits(info: Mapping[str, Any]) -> Finding:
    part, version = "limits", info.get("CgroupVersion") or "?"
    missing = [name for key, name in LIMITS.items() if not info.get(key)]
    if missing:
        detail = f"cgroup v{version} without limits for {', '.join(missing)}"
        fix = "enable these cgroup controllers for the engine, or code can use the whole machine"
        return Finding(part, State.WRONG, detail, fix)
    return Finding(part, State.OK, f"cgroup v{version}: {', '.join(LIMITS.values())}")


def _runtimes(info: Mapping[str, Any]) -> Iterator[Finding]:
    default = str(info.get("DefaultRuntime") or "?")
    known = sorted(info.get("Runtimes") or {})
    yield Finding("runtimes", State.OK, f"{', '.join(known) or default} (default: {default})")
    if GVISOR not in known:
        fix = f"for --docker-runtime {GVISOR}: install gVisor and register it with the engine"
        yield Finding("gVisor", State.MISSING, f"no runtime {GVISOR}", fix)


async def _orphans(docker: aiodocker.Docker, *, fix: bool) -> Finding:
    part, orphans = "orphans", await client.list_orphans(docker)
    if not orphans:
        return Finding(part, State.OK, "no container of a dead run")
    if not fix:
        detail = f"{len(orphans)} containers of dead runs"
        return Finding(part, State.WRONG, detail, "llmbench doctor --fix, or start any run")
    await client.remove_orphans(docker)
    remaining = len(await client.list_orphans(docker))
    detail = f"removed {len(orphans) - remaining} containers of dead runs"
    if remaining:
        detail += f", {remaining} could not be removed"
        return Finding(part, State.WRONG, detail, "remove them with docker rm -f")
    return Finding(part, State.OK, detail)


async def _image(docker: aiodocker.Docker, runner: Runner) -> Finding:
    """Compare the image with the runner's folder as it is now."""
    image = await images.inspect(docker, runner)
    state = _STATES[image.state]
    fix = "" if state is State.OK else images.build_command([runner])
    return Finding(f"{runner.lang} image", state, images.describe(image), fix, required=True)
