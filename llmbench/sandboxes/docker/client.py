"""The connection to a container engine: where it is, whether it answers, what of ours it has."""

import json
import os
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import aiodocker
import aiohttp
import anyio
from aiodocker.containers import DockerContainer

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.docker import owner

T = TypeVar("T")

RUN_LABEL = "llmbench.run"
OWNER_LABEL = "llmbench.owner"

ANSWER_SECONDS = 5.0
"""How long an engine may take to say that it is there."""
API_SECONDS = 30.0
"""Longest wait for one answer of a busy engine, so that a stuck one is an error and no hang."""
REMOVE_SECONDS = 10.0


def addresses() -> list[str]:
    """Where an engine may be, in the order of trying."""
    if told := os.environ.get("DOCKER_HOST"):
        return [told]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    sockets = [
        Path("/var/run/docker.sock"),
        Path.home() / ".docker/run/docker.sock",
        runtime / "docker.sock",
        runtime / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    ]
    return [f"unix://{path}" for path in sockets if path.is_socket()]


async def connect() -> tuple[str, aiodocker.Docker]:
    """The address of the first engine that answers, and a connection to it.

    Raises:
        NoSandboxError: none does.
    """
    tried = addresses()
    for address in tried:
        try:
            docker = client(address)
        except ValueError:
            continue
        if await answers(docker):
            return address, docker
        await close(docker)
    where = f"at {', '.join(tried)}" if tried else "and no socket of Docker or Podman was found"
    raise NoSandboxError(f"no Docker engine answers {where}: start Docker, or set DOCKER_HOST")


async def answers(docker: aiodocker.Docker) -> bool:
    """True when the engine says in time that it is there."""
    try:
        with anyio.fail_after(ANSWER_SECONDS):
            await docker.version()
    except (aiodocker.DockerError, aiohttp.ClientError, OSError):
        return False
    return True


def client(address: str) -> aiodocker.Docker:
    """A client of the engine at an address; nothing is sent yet.

    Raises:
        ValueError: this is no address.
    """
    scheme = "unix://"
    if not address.startswith(scheme):
        return aiodocker.Docker(address)
    # Each attached container holds a connection: the usual bound of 100 would stall the others.
    connector = aiohttp.UnixConnector(address.removeprefix(scheme), limit=0)
    return aiodocker.Docker(f"{scheme}localhost", connector=connector)


async def close(docker: aiodocker.Docker) -> None:
    """Close a client and its connections."""
    await docker.close()
    await docker.connector.close()


async def api(what: str, call: Awaitable[T]) -> T:
    """The engine's answer, in bounded time.

    Raises:
        SandboxError: the engine refuses, is gone, or does not answer.
    """
    try:
        with anyio.fail_after(API_SECONDS):
            return await call
    except aiodocker.DockerError as error:
        raise SandboxError(f"the engine could not {what}: {error.message}") from error
    except TimeoutError:
        message = f"the engine could not {what} within {API_SECONDS:g} s"
        raise SandboxError(message) from None
    except (aiohttp.ClientError, OSError) as error:
        raise SandboxError(f"the engine could not {what}: {error}") from error


async def remove(container: DockerContainer) -> None:
    """Remove a container if that can be done."""
    with suppress(SandboxError), anyio.move_on_after(REMOVE_SECONDS):
        # Gone, being removed by somebody else, or the engine is: the next start reaps it.
        await api("remove a container", container.delete(force=True, v=True))


async def labelled(docker: aiodocker.Docker, label: str, value: str = "") -> list[DockerContainer]:
    """The containers, running or not, that bear this label, with this value if one is given.

    Raises:
        SandboxError: the engine does not tell.
    """
    filters = json.dumps({"label": [f"{label}={value}" if value else label]})
    return await api("list containers", docker.containers.list(all="true", filters=filters))


async def orphans(docker: aiodocker.Docker) -> list[DockerContainer]:
    """The containers of processes that are dead.

    Raises:
        SandboxError: the engine does not tell.
    """
    ours = await labelled(docker, OWNER_LABEL)
    return [each for each in ours if owner.is_dead(each["Labels"][OWNER_LABEL])]


async def reap(docker: aiodocker.Docker) -> None:
    """Remove what dead processes left.

    Raises:
        SandboxError: the engine does not tell what there is.
    """
    for container in await orphans(docker):
        await remove(container)


async def images(docker: aiodocker.Docker) -> set[str]:
    """The tags of all images.

    Raises:
        SandboxError: the engine does not tell.
    """
    listed = await api("list images", docker.images.list())
    return {tag for image in listed for tag in image.get("RepoTags") or ()}


async def digest(docker: aiodocker.Docker, runner: Runner) -> str:
    """The digest that the image of a language has now.

    Raises:
        SandboxError: the engine has no such image, or does not tell.
    """
    return str((await api("inspect an image", docker.images.inspect(runner.config.image)))["Id"])


def version(about: Mapping[str, Any]) -> str:
    """Name and version of an engine, from what it says of itself."""
    parts = about.get("Components") or [{"Name": "Engine", "Version": about.get("Version")}]
    return f"{parts[0]['Name']} {parts[0]['Version']}"


def is_there(image: str, tags: set[str]) -> bool:
    """True when an image is among these tags, as Docker or Podman writes it."""
    tagged = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    return bool({tagged, f"localhost/{tagged}"} & tags)


def build_command(runner: Runner) -> str:
    """What builds the image of a language."""
    return f"docker build -t {runner.config.image} {runner.folder}"
