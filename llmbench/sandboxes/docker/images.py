"""The images of languages: built from runner folders, compared with them, sent to registries."""

import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import aiodocker
import anyio
from aiodocker.containers import DockerContainer

from llmbench.errors import SandboxError
from llmbench.runners import AUTHORING, CHECK, FILE, Runner
from llmbench.sandboxes.commands import exclusive, run_visibly
from llmbench.sandboxes.docker import client, owner
from llmbench.sandboxes.docker.client import OWNER_LABEL, call
from llmbench.sandboxes.docker.endpoints import Endpoint
from llmbench.sandboxes.launch import HOME
from llmbench.sandboxes.local.toolchains import cache_dir

T = TypeVar("T")

RUNNER_LABEL = "llmbench.runner"
"""Label of an image: the language, and the digest of the folder that it was built from.

An image inherits the labels of its base, which may be that of another language.
"""

DOCKERFILE = "Dockerfile"
NOT_IN_IMAGE = (FILE, CHECK, AUTHORING)
"""Parts of a runner's folder that no container reads."""

COMPILED = "__pycache__"
"""The folder in which Python keeps what it compiled of a folder's files, as pip does."""

NETWORK_VARIABLE = "BUILD_NETWORK"
"""Environment variable that names the network of builds."""

NOT_FOUND = 404
TAG_CHARACTERS = 16


def base_variable(lang: str) -> str:
    """Return the environment variable that names the base image of a language."""
    return f"{lang.upper().replace('-', '_')}_BASE"


class ImageState(StrEnum):
    """An image against the folder of its runner as it is now."""

    CURRENT = "current"
    CHANGED = "built from another state of its folder"
    UNKNOWN = "unknown"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Image:
    """The image of a language at an engine.

    `files` are those that differ, as far as that is known. `info` is the engine's description.
    """

    runner: Runner
    state: ImageState
    files: Sequence[str] = ()
    info: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Builds:
    """The way to deal with images that are missing or differ from their folders.

    `build` is True if a missing image is built. `notify` gets lines about progress, `warn` lines
    that the user must read. `bases` are base images by language, `network` is that of the builds;
    without them the environment decides, else the Dockerfile and the engine.
    """

    build: bool = False
    notify: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None
    bases: Mapping[str, str] | None = None
    network: str | None = None

    def flags(self, lang: str) -> Iterator[str]:
        """Yield the flags of a build."""
        base = (self.bases or {}).get(lang) or os.environ.get(base_variable(lang))
        network = self.network or os.environ.get(NETWORK_VARIABLE)
        if base:
            yield from ("--build-arg", f"BASE={base}")
        if network:
            yield from ("--network", network)


@dataclass(frozen=True, slots=True)
class Connection:
    """An engine, and an open client of it."""

    endpoint: Endpoint
    docker: aiodocker.Docker

    async def command_line(self) -> list[str]:
        """Return the beginning of a command line that talks to this engine.

        Raises:
            SandboxError: no such command is installed, or the engine does not answer.
        """
        version = await call("report its version", self.docker.version())
        if client.engine_version(version).startswith("Podman") and shutil.which("podman"):
            return ["podman", "--url", self.endpoint.url]
        if shutil.which("docker") is None:
            raise SandboxError(
                "images are built by the command docker, which is not installed",
                hint="install Docker's command line",
            )
        # A setting that names the engine is one of Docker's own.
        return ["docker"] if self.endpoint.source else ["docker", "--host", self.endpoint.url]


@asynccontextmanager
async def connected() -> AsyncIterator[Connection]:
    """Connect to the first engine that answers, while the context lasts.

    Raises:
        NoSandboxError: no engine answers.
    """
    endpoint, docker = await client.connect()
    try:
        yield Connection(endpoint, docker)
    finally:
        with anyio.CancelScope(shield=True):
            await client.close_client(docker)


def digest(folder: Path) -> str:
    """Return a hash of all files that decide an image, the same on every machine."""
    state = hashlib.sha256()
    for path in [*image_files(folder), Path(DOCKERFILE)]:
        if (folder / path).is_file():
            data = _unix_lines((folder / path).read_bytes())
            state.update(f"{path.as_posix()}\0{len(data)}\0".encode() + data)
    return state.hexdigest()


def _label(runner: Runner) -> str:
    """The value of the label of an image that is built from the folder as it is now."""
    return f"{runner.lang}:{digest(runner.folder)}"


def build_command(runners: Sequence[Runner]) -> str:
    """Return the command that builds the images of these languages."""
    own = [f" --runners {runner.folder}" for runner in runners if not runner.bundled]
    return f"llmbench images build --langs {','.join(r.lang for r in runners)}{''.join(own)}"


async def inspect(docker: aiodocker.Docker, runner: Runner) -> Image:
    """Return the image of a language, compared with the folder of its runner.

    An image without a label is compared file by file, in a container that never starts.

    Raises:
        SandboxError: the engine does not answer.
    """
    info = await call("inspect an image", _or_none(docker.images.inspect(runner.config.image)))
    if info is None:
        return Image(runner, ImageState.MISSING)
    label = str(((info.get("Config") or {}).get("Labels") or {}).get(RUNNER_LABEL))
    if label.startswith(f"{runner.lang}:"):
        same = label == _label(runner)
        return Image(runner, ImageState.CURRENT if same else ImageState.CHANGED, info=info)
    try:
        files = await _remembered_changes(docker, runner, str(info["Id"]))
    except SandboxError:
        return Image(runner, ImageState.UNKNOWN, info=info)
    return Image(runner, ImageState.CHANGED if files else ImageState.CURRENT, files, info)


async def prepare(
    connection: Connection, runners: Mapping[str, Runner], builds: Builds
) -> list[Image]:
    """Build the images that are missing; warn of those that differ from their folders, return them.

    Raises:
        SandboxError: an image is missing and may not or cannot be built; says how to build it.
    """
    images = [await inspect(connection.docker, runner) for runner in runners.values()]
    missing = [image.runner for image in images if image.state is ImageState.MISSING]
    if missing and not builds.build:
        names = ", ".join(runner.config.image for runner in missing)
        raise SandboxError(f"the engine has no image {names}", hint=build_command(missing))
    for runner in missing:
        builds.notify(f"the engine has no image {runner.config.image}: it is built once")
        await build(connection, runner, builds, anew=False)
    changed = [i for i in images if i.state in (ImageState.CHANGED, ImageState.UNKNOWN)]
    for image in changed:
        builds.warn(f"{describe(image)}: to rebuild it: {build_command([image.runner])}")
    return changed


def describe(image: Image) -> str:
    """Return the state of an image in a sentence."""
    name, folder = image.runner.config.image, image.runner.folder
    match image.state:
        case ImageState.CURRENT:
            return f"{name} is built from {folder}"
        case ImageState.CHANGED:
            files = f": {', '.join(image.files)}" if image.files else ""
            return f"{name} was built from another state of {folder}{files}"
        case ImageState.UNKNOWN:
            return f"{name} has no label, and its files cannot be compared with {folder}"
        case ImageState.MISSING:
            return f"no image {name}"


async def build(
    connection: Connection, runner: Runner, builds: Builds, *, anew: bool = True
) -> None:
    """Build the image of a language; with `anew=False` unless another process has just built it.

    Raises:
        SandboxError: the build failed, with its own reason, or no command can build it.
    """
    image, folder = runner.config.image, runner.folder
    if not (folder / DOCKERFILE).is_file():
        raise SandboxError(f"{image} cannot be built: there is no {folder / DOCKERFILE}")
    command = [
        *(await connection.command_line()),
        *("build", "--tag", image, "--label", f"{RUNNER_LABEL}={_label(runner)}"),
        *builds.flags(runner.lang),
        str(folder),
    ]
    title = f"building {image}"
    try:
        async with exclusive(_cache() / f"{runner.lang}.lock", title, builds.notify):
            if not anew and (await inspect(connection.docker, runner)).info is not None:
                return
            builds.notify(f"{title} from {folder}, which may take minutes: {' '.join(command)}")
            result = await run_visibly(command, title, builds.notify)
    except OSError as error:
        raise SandboxError(f"{title}: {error}") from None
    if result.code:
        raise SandboxError(
            f"{image} could not be built: {result.reason}",
            hint=f"{build_command([runner])}, with --base {runner.lang}=IMAGE for another base",
        )
    builds.notify(f"built {image} in {result.seconds:.1f} s")


async def remove(docker: aiodocker.Docker, runner: Runner) -> bool:
    """Remove the image of a language; False if there is none.

    Raises:
        SandboxError: the engine refuses, for example because a container uses the image.
    """
    deleted = await call("remove an image", _or_none(docker.images.delete(runner.config.image)))
    return deleted is not None


# ---- Registries ----------------------------------------------------------------------------


def registry_name(registry: str, runner: Runner) -> str:
    """Return the name of an image in a registry; its tag is the state of the runner's folder."""
    name = runner.config.image.rpartition("/")[2].partition(":")[0]
    return f"{registry.rstrip('/')}/{name}:{digest(runner.folder)[:TAG_CHARACTERS]}"


async def push(
    connection: Connection, runner: Runner, registry: str, notify: Callable[[str], None]
) -> str:
    """Send the image of a language to a registry; returns its name there.

    Raises:
        SandboxError: it is missing or built from another state of its folder, or the registry
            refuses it.
    """
    image = await inspect(connection.docker, runner)
    if image.state is not ImageState.CURRENT:
        raise SandboxError(describe(image), hint=build_command([runner]))
    name = registry_name(registry, runner)
    await _run(connection, ["tag", runner.config.image, name], name, notify)
    await _run(connection, ["push", name], f"pushing {name}", notify)
    return name


async def pull(
    connection: Connection, runner: Runner, registry: str, notify: Callable[[str], None]
) -> str:
    """Get the image of a language from a registry; returns its name there.

    Raises:
        SandboxError: the registry does not have it for this state of the runner's folder.
    """
    name = registry_name(registry, runner)
    await _run(connection, ["pull", name], f"pulling {name}", notify)
    await _run(connection, ["tag", name, runner.config.image], name, notify)
    return name


async def _run(
    connection: Connection, words: Sequence[str], title: str, notify: Callable[[str], None]
) -> None:
    command = [*(await connection.command_line()), *words]
    try:
        result = await run_visibly(command, title, notify)
    except OSError as error:
        raise SandboxError(f"{title}: {error}") from None
    if result.code:
        raise SandboxError(f"{' '.join(command)}: {result.reason}")


# ---- Comparison ----------------------------------------------------------------------------


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a runner's folder that a build copies and a container reads."""
    ignore = folder / ".dockerignore"
    patterns = ignore.read_text(encoding="utf-8").split() if ignore.exists() else []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        top = parts[0]
        if top in NOT_IN_IMAGE or top == ignore.name or COMPILED in parts:
            continue
        if path.is_file() and not any(fnmatchcase(top, pattern) for pattern in patterns):
            yield path.relative_to(folder)


async def _remembered_changes(docker: aiodocker.Docker, runner: Runner, id_: str) -> Sequence[str]:
    """As `_changed_files`; compared once for each image and state of the folder."""
    path = _cache() / f"{id_.rpartition(':')[2]}-{digest(runner.folder)}.json"
    try:
        return tuple(map(str, json.loads(path.read_bytes())))
    except (OSError, ValueError, TypeError):
        files = await _changed_files(docker, runner)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(files))
    return files


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
            for path in image_files(runner.folder)
            if _unix_lines((runner.folder / path).read_bytes()) != await _read(container, path)
        ]
    finally:
        with anyio.CancelScope(shield=True):
            await client.remove_container(container)


async def _read(container: DockerContainer, path: Path) -> bytes | None:
    """A file of the runner's folder in a container, or None."""
    read = container.get_archive(f"{HOME}/{path.as_posix()}")
    archive: tarfile.TarFile | None = await call("read an image", _or_none(read))
    if archive is None:
        return None
    member = archive.extractfile(path.name)
    return None if member is None else _unix_lines(member.read())


async def _or_none(request: Awaitable[T]) -> T | None:
    """The engine's answer, or None if there is no such thing."""
    try:
        return await request
    except aiodocker.DockerError as error:
        if error.status == NOT_FOUND:
            return None
        raise


def _cache() -> Path:
    """The folder of locks and of earlier comparisons."""
    return cache_dir().parent / "images"


def _unix_lines(data: bytes) -> bytes:
    """A text as an image has it, with line ends of Unix."""
    return data.replace(b"\r\n", b"\n")
