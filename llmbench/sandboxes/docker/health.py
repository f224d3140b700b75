"""Checks of a container engine: its limits, runtimes and images, and containers of dead runs."""

import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiodocker
import anyio
from aiodocker.containers import DockerContainer

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.runners import AUTHORING, CHECK, FILE, Runner
from llmbench.sandboxes.diagnostics import Finding, State
from llmbench.sandboxes.docker import client, owner
from llmbench.sandboxes.docker.client import OWNER_LABEL, call
from llmbench.sandboxes.launch import HOME

LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "processes",
    "CpuCfsQuota": "processor",
}
"""The limits that an engine reports, by their name in its API, with a plain name."""

GVISOR = "runsc"

NOT_IN_IMAGE = (FILE, CHECK, AUTHORING)
"""Parts of a runner's folder that no container reads."""

COMPILED = "__pycache__"
"""The folder in which Python keeps what it compiled of a folder's files, as pip does."""


async def findings(runners: Mapping[str, Runner], fix: bool) -> AsyncIterator[Finding]:
    """Check each part of the engine that answers; `fix` removes containers of dead runs."""
    part = "engine"
    try:
        address, docker = await client.connect()
    except NoSandboxError as error:
        yield Finding(part, State.MISSING, error.message, error.hint, required=True)
        return
    try:
        version = client.engine_version(await call("report its version", docker.version()))
        yield Finding(part, State.OK, f"{version} answers at {address}", required=True)
        info = await call("describe itself", docker.system.info())
        yield _limits(info)
        for finding in _runtimes(info):
            yield finding
        yield await _orphans(docker, fix=fix)
        tags = await client.image_tags(docker)
        for runner in runners.values():
            yield await _image(docker, runner, tags)
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


async def _image(docker: aiodocker.Docker, runner: Runner, tags: set[str]) -> Finding:
    """Compare the image with the runner's folder as it is now."""
    part, image = f"{runner.lang} image", runner.config.image
    build = client.build_command(runner)
    if not client.has_image(tags, image):
        return Finding(part, State.MISSING, f"no image {image}", build, required=True)
    files = await _changed_files(docker, runner)
    if files:
        detail = f"{image} was built from another state of {runner.folder}: {', '.join(files)}"
        return Finding(part, State.WRONG, detail, build, required=True)
    return Finding(part, State.OK, f"{image} is built from {runner.folder}", required=True)


async def _changed_files(docker: aiodocker.Docker, runner: Runner) -> list[str]:
    """The runner's files that differ in the image, read from a container that never starts."""
    container = docker.containers.container(f"llmbench-{uuid4().hex}")
    config: dict[str, Any] = {
        "Image": runner.config.image,
        "Labels": {OWNER_LABEL: owner.owner_label()},
        "NetworkDisabled": True,
    }
    try:
        created = docker.containers.create(config, name=container.id)
        await call("create a container", created)
        return [
            str(path)
            for path in _image_files(runner.folder)
            if _unix_lines((runner.folder / path).read_bytes()) != await _read(container, path)
        ]
    finally:
        with anyio.CancelScope(shield=True):
            await client.remove_container(container)


def _image_files(folder: Path) -> Iterator[Path]:
    """The files of the folder that a build copies and a container reads."""
    ignore = folder / ".dockerignore"
    patterns = ignore.read_text(encoding="utf-8").split() if ignore.exists() else []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        top = parts[0]
        if top in NOT_IN_IMAGE or top == ignore.name or COMPILED in parts:
            continue
        if path.is_file() and not any(fnmatchcase(top, pattern) for pattern in patterns):
            yield path.relative_to(folder)


async def _read(container: DockerContainer, path: Path) -> bytes | None:
    """A file of the runner's folder in a container, or None."""

    async def get_archive() -> tarfile.TarFile | None:
        try:
            return await container.get_archive(f"{HOME}/{path.as_posix()}")
        except aiodocker.DockerError as error:
            if error.status == 404:
                return None
            raise

    archive = await call("read an image", get_archive())
    if archive is None:
        return None
    member = archive.extractfile(path.name)
    return None if member is None else _unix_lines(member.read())


def _unix_lines(data: bytes) -> bytes:
    """A text as an image has it, with line ends of Unix."""
    return data.replace(b"\r\n", b"\n")
