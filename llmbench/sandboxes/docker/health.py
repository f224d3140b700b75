"""What of a container engine works: limits, runtimes, images, what dead runs left."""

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
from llmbench.sandboxes.docker.client import OWNER_LABEL, api
from llmbench.sandboxes.launch import HOME

LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "processes",
    "CpuCfsQuota": "processor",
}
"""What an engine says it can limit, as its API names it and as people do."""

GVISOR = "runsc"

NOT_IN_IMAGE = (FILE, CHECK, AUTHORING)
"""What of a runner's folder no container reads."""


async def findings(runners: Mapping[str, Runner], *, fix: bool) -> AsyncIterator[Finding]:
    """A finding for each part of the engine that answers; `fix` removes what dead runs left."""
    try:
        address, docker = await client.connect()
    except NoSandboxError as error:
        said, _, todo = str(error).rpartition(": ")
        yield Finding("engine", State.MISSING, said, todo)
        return
    try:
        yield _engine(address, await api("say its version", docker.version()))
        about = await api("say what it can do", docker.system.info())
        yield _limits(about)
        for finding in _runtimes(about):
            yield finding
        yield await _orphans(docker, fix=fix)
        there = await client.images(docker)
        for runner in runners.values():
            yield await _image(docker, runner, there)
    except SandboxError as error:
        yield Finding("engine", State.WRONG, str(error), "restart it")
    finally:
        with anyio.CancelScope(shield=True):
            await client.close(docker)


def image_part(lang: str) -> str:
    """What the finding about a language's image is called."""
    return f"{lang} image"


def _engine(address: str, about: Mapping[str, Any]) -> Finding:
    return Finding("engine", State.OK, f"{client.version(about)} answers at {address}")


def _limits(about: Mapping[str, Any]) -> Finding:
    version = about.get("CgroupVersion") or "?"
    missing = [name for key, name in LIMITS.items() if not about.get(key)]
    if missing:
        said = f"cgroup v{version} without limits for {', '.join(missing)}"
        todo = "enable these cgroup controllers for the engine, or code can take all there is"
        return Finding("limits", State.WRONG, said, todo)
    return Finding("limits", State.OK, f"cgroup v{version}: {', '.join(LIMITS.values())}")


def _runtimes(about: Mapping[str, Any]) -> Iterator[Finding]:
    usual = str(about.get("DefaultRuntime") or "?")
    known = sorted(about.get("Runtimes") or {})
    yield Finding("runtimes", State.OK, f"{', '.join(known) or usual} (default: {usual})")
    if GVISOR not in known:
        todo = f"if you want --docker-runtime {GVISOR}: install gVisor and tell the engine of it"
        yield Finding("gVisor", State.MISSING, f"no runtime {GVISOR}", todo)


async def _orphans(docker: aiodocker.Docker, *, fix: bool) -> Finding:
    found = await client.orphans(docker)
    if not found:
        return Finding("orphans", State.OK, "no container of a dead run")
    if not fix:
        said = f"{len(found)} containers of dead runs"
        return Finding("orphans", State.WRONG, said, "llmbench doctor --fix, or start any run")
    for container in found:
        await client.remove(container)
    left = len(await client.orphans(docker))
    said = f"removed {len(found) - left} containers of dead runs"
    if left:
        return Finding("orphans", State.WRONG, f"{said}, {left} resist", "docker rm -f them")
    return Finding("orphans", State.OK, said)


async def _image(docker: aiodocker.Docker, runner: Runner, there: set[str]) -> Finding:
    """Whether the image is there, and made from this runner folder as it is now."""
    part, image = image_part(runner.lang), runner.config.image
    build = client.build_command(runner)
    if not client.is_there(image, there):
        return Finding(part, State.MISSING, f"no image {image}", build)
    differs = await _differing(docker, runner)
    if differs:
        said = f"{image} was built from another state of {runner.folder}: {', '.join(differs)}"
        return Finding(part, State.WRONG, said, build)
    return Finding(part, State.OK, f"{image} is built from {runner.folder}")


async def _differing(docker: aiodocker.Docker, runner: Runner) -> list[str]:
    """The runner's files that the image has in another state; read from a container not started."""
    container = docker.containers.container(f"llmbench-{uuid4().hex}")
    config: dict[str, Any] = {
        "Image": runner.config.image,
        "Labels": {OWNER_LABEL: owner.owner_label()},
        "NetworkDisabled": True,
    }
    try:
        created = docker.containers.create(config, name=container.id)
        await api("create a container", created)
        return [
            str(path)
            for path in _copied(runner.folder)
            if _lines((runner.folder / path).read_bytes()) != await _file(container, path)
        ]
    finally:
        with anyio.CancelScope(shield=True):
            await client.remove(container)


def _copied(folder: Path) -> Iterator[Path]:
    """The files that a build copies and a container reads, below the folder."""
    ignore = folder / ".dockerignore"
    patterns = ignore.read_text(encoding="utf-8").split() if ignore.exists() else []
    for path in sorted(folder.rglob("*")):
        top = path.relative_to(folder).parts[0]
        if top in NOT_IN_IMAGE or top == ignore.name:
            continue
        if path.is_file() and not any(fnmatchcase(top, pattern) for pattern in patterns):
            yield path.relative_to(folder)


async def _file(container: DockerContainer, path: Path) -> bytes | None:
    """A file of the runner's folder in a container; None where there is none."""

    async def archived() -> tarfile.TarFile | None:
        try:
            return await container.get_archive(f"{HOME}/{path.as_posix()}")
        except aiodocker.DockerError as error:
            if error.status == 404:
                return None
            raise

    archive = await api("read an image", archived())
    if archive is None:
        return None
    member = archive.extractfile(path.name)
    return None if member is None else _lines(member.read())


def _lines(data: bytes) -> bytes:
    """A text as an image has it, where line ends are those of Unix."""
    return data.replace(b"\r\n", b"\n")
