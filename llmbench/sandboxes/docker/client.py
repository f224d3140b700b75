"""Calls to a container engine: find it, connect, and list or remove containers and images."""

import json
import logging
from collections.abc import Awaitable, Mapping
from errno import ECONNREFUSED, ENOENT
from typing import Any, TypeVar

import aiodocker
import aiohttp
import anyio
from aiodocker.containers import DockerContainer

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.docker import owner
from llmbench.sandboxes.docker.endpoints import Endpoint, find_endpoints

T = TypeVar("T")

logger = logging.getLogger(__name__)

RUN_LABEL = "llmbench.run"
OWNER_LABEL = "llmbench.owner"

PING_SECONDS = 5.0
"""Longest wait for the first answer of an engine."""
API_SECONDS = 30.0
"""Longest wait for one answer of a busy engine, so that a stuck one is an error and no hang."""
REMOVE_SECONDS = 10.0
REASON_CHARACTERS = 200

_NOTHING_LISTENS = frozenset({ENOENT, ECONNREFUSED})


async def connect() -> tuple[Endpoint, aiodocker.Docker]:
    """Return the first endpoint whose engine answers, and an open client.

    Raises:
        NoSandboxError: no engine answers; says where it was tried, and why if that is known.
    """
    failures = []
    for endpoint in find_endpoints():
        docker = open_client(endpoint)
        reason = await ping(docker)
        if reason is None:
            logger.info("container engine found at %s", endpoint)
            return endpoint, docker
        await close_client(docker)
        failures.append(f"{endpoint}, {reason}" if reason else str(endpoint))
        logger.debug("no engine answers at %s", failures[-1])
    where = f"at {'; '.join(failures)}" if failures else "and no socket of Docker or Podman is here"
    raise NoSandboxError(
        f"no Docker engine answers {where}", hint="start Docker, or set DOCKER_HOST"
    )


def open_client(endpoint: Endpoint) -> aiodocker.Docker:
    """Return a client of an engine; it sends nothing yet.

    Raises:
        NoSandboxError: a certificate is missing or invalid.
    """
    # Each attached container holds a connection: the usual limit of 100 would stall the others.
    scheme, _, path = endpoint.url.partition("://")
    if scheme == "unix":
        unix = aiohttp.UnixConnector(path, limit=0)
        return aiodocker.Docker("unix://localhost", connector=unix)
    tcp = aiohttp.TCPConnector(ssl=endpoint.ssl_context() or True, limit=0)
    return aiodocker.Docker(endpoint.url, connector=tcp)


async def close_client(docker: aiodocker.Docker) -> None:
    """Close a client and its connections."""
    await docker.close()
    await docker.connector.close()


async def ping(docker: aiodocker.Docker) -> str | None:
    """Return None if the engine answers in time, else the reason: empty if nothing listens."""
    try:
        with anyio.fail_after(PING_SECONDS):
            await docker.version()
    except TimeoutError:
        return f"no answer in {PING_SECONDS:g} s"
    except (aiodocker.DockerError, aiohttp.ClientError, OSError, ValueError) as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    """The reason why an engine does not answer; empty if nothing listens at its address."""
    failed = error.__context__ if isinstance(error, aiodocker.DockerError) else error
    if isinstance(failed, aiohttp.ClientConnectorError):
        failed = failed.os_error
    if isinstance(failed, OSError) and failed.errno in _NOTHING_LISTENS:
        return ""
    text = (isinstance(failed, OSError) and failed.strerror) or str(failed or error)
    return " ".join(text.split())[:REASON_CHARACTERS] or type(error).__name__


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
