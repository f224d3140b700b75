"""Calls to a container engine: find it, connect, and list or remove containers and images."""

import json
import logging
import os
from collections.abc import Awaitable, Mapping
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

logger = logging.getLogger(__name__)

SCHEMES = ("unix", "tcp", "http", "https")
"""Schemes of the addresses of engines that can be reached."""

RUN_LABEL = "llmbench.run"
OWNER_LABEL = "llmbench.owner"

PING_SECONDS = 5.0
"""Longest wait for the first answer of an engine."""
API_SECONDS = 30.0
"""Longest wait for one answer of a busy engine, so that a stuck one is an error and no hang."""
REMOVE_SECONDS = 10.0


def addresses() -> list[str]:
    """Return the addresses where an engine may listen, in the order of trying."""
    if host := os.environ.get("DOCKER_HOST"):
        return [host]
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
    """Return the address of the first engine that answers, and an open client.

    Raises:
        NoSandboxError: no engine answers, or the environment names one in a wrong way.
    """
    candidates = addresses()
    for address in candidates:
        docker = open_client(address)
        if await ping(docker):
            logger.info("container engine found at %s", address)
            return address, docker
        logger.debug("no engine answers at %s", address)
        await close_client(docker)
    tried = ", ".join(candidates)
    where = f"at {tried}" if tried else "and no socket of Docker or Podman was found"
    raise NoSandboxError(
        f"no Docker engine answers {where}", hint="start Docker, or set DOCKER_HOST"
    )


def open_client(address: str) -> aiodocker.Docker:
    """Return a client of the engine at an address; it sends nothing yet.

    Raises:
        NoSandboxError: the address is malformed, or the certificates for it are missing.
    """
    scheme, separator, place = address.partition("://")
    if scheme not in SCHEMES or not separator or not place:
        raise NoSandboxError(
            f"DOCKER_HOST {address}: not an address like unix:///PATH or tcp://HOST:PORT",
            hint="change it; ssh -L forwards the socket of an engine elsewhere",
        )
    if scheme == "unix":
        # Each attached container holds a connection: the usual limit of 100 would stall the others.
        connector = aiohttp.UnixConnector(place, limit=0)
        return aiodocker.Docker("unix://localhost", connector=connector)
    try:
        return aiodocker.Docker(address)
    except (OSError, ValueError):
        folder = os.environ.get("DOCKER_CERT_PATH", "")
        raise NoSandboxError(
            f"DOCKER_CERT_PATH {folder}: no usable ca.pem, cert.pem and key.pem in it",
            hint="name the folder of the engine's certificates, or unset DOCKER_TLS_VERIFY",
        ) from None


async def close_client(docker: aiodocker.Docker) -> None:
    """Close a client and its connections."""
    await docker.close()
    await docker.connector.close()


async def ping(docker: aiodocker.Docker) -> bool:
    """True if the engine answers in time."""
    try:
        with anyio.fail_after(PING_SECONDS):
            await docker.version()
    except (aiodocker.DockerError, aiohttp.ClientError, OSError, ValueError):
        return False
    return True


async def call(action: str, request: Awaitable[T]) -> T:
    """Return the engine's answer to a request, in bounded time.

    `action` completes the sentence "the engine could not …" in errors.

    Raises:
        SandboxError: the engine refuses, is gone, or does not answer.
    """
    try:
        with anyio.fail_after(API_SECONDS):
            return await request
    except aiodocker.DockerError as error:
        raise SandboxError(f"the engine could not {action}: {error.message}") from error
    except TimeoutError:
        message = f"the engine could not {action} within {API_SECONDS:g} s"
        raise SandboxError(message) from None
    except (aiohttp.ClientError, OSError) as error:
        raise SandboxError(f"the engine could not {action}: {error}") from error


async def remove_container(container: DockerContainer) -> None:
    """Remove a container if the engine can; the next start removes the others."""
    with anyio.move_on_after(REMOVE_SECONDS):
        try:
            await call("remove a container", container.delete(force=True, v=True))
        except SandboxError as error:
            logger.debug("container %s was not removed: %s", container.id, error)
        else:
            logger.debug("removed container %s", container.id)


async def list_containers(
    docker: aiodocker.Docker, label: str, value: str = ""
) -> list[DockerContainer]:
    """Return the containers, running or not, that have this label, and this value if not empty.

    Raises:
        SandboxError: the engine did not list them.
    """
    filters = json.dumps({"label": [f"{label}={value}" if value else label]})
    return await call("list containers", docker.containers.list(all="true", filters=filters))


async def list_orphans(docker: aiodocker.Docker) -> list[DockerContainer]:
    """Return the containers of llmbench processes that are dead.

    Raises:
        SandboxError: the engine did not list them.
    """
    ours = await list_containers(docker, OWNER_LABEL)
    return [each for each in ours if owner.is_dead(each["Labels"][OWNER_LABEL])]


async def remove_orphans(docker: aiodocker.Docker) -> None:
    """Remove the containers of llmbench processes that are dead.

    Raises:
        SandboxError: the engine did not list them.
    """
    orphans = await list_orphans(docker)
    for container in orphans:
        await remove_container(container)
    if orphans:
        logger.info("removed %d containers of dead runs", len(orphans))


async def image_tags(docker: aiodocker.Docker) -> set[str]:
    """Return the tags of all images.

    Raises:
        SandboxError: the engine did not list them.
    """
    images = await call("list images", docker.images.list())
    return {tag for image in images for tag in image.get("RepoTags") or ()}


async def image_digest(docker: aiodocker.Docker, runner: Runner) -> str:
    """Return the digest of a language's image.

    Raises:
        SandboxError: the engine has no such image, or does not answer.
    """
    image = await call("inspect an image", docker.images.inspect(runner.config.image))
    return str(image["Id"])


def engine_version(info: Mapping[str, Any]) -> str:
    """Return name and version of an engine, from its answer to `version`."""
    parts = info.get("Components") or [{"Name": "Engine", "Version": info.get("Version")}]
    return f"{parts[0]['Name']} {parts[0]['Version']}"


def has_image(tags: set[str], image: str) -> bool:
    """True if an image is among these tags, as Docker or Podman writes it."""
    tagged = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    return bool({tagged, f"localhost/{tagged}"} & tags)


def build_command(runner: Runner) -> str:
    """Return the command that builds the image of a language."""
    return f"docker build -t {runner.config.image} {runner.folder}"
