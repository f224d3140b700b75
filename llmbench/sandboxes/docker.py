"""Docker, or any engine that speaks its API: a fresh container for each submission."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

import aiodocker
import aiohttp
import anyio
from aiodocker.containers import DockerContainer
from aiodocker.stream import Stream
from yarl import URL

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.records import Submission
from llmbench.sandboxes import owners
from llmbench.sandboxes.base import OUTER_GRACE_SECONDS, Execution
from llmbench.sandboxes.grading import GradingSandbox
from llmbench.sandboxes.launch import CGROUP, WORK, Capture, Launch, pack
from llmbench.sandboxes.runners import Runner

T = TypeVar("T")

RUN_LABEL = "llmbench.run"
OWNER_LABEL = "llmbench.owner"
UID = 10001

ANSWER_SECONDS = 5.0
"""How long an engine may take to say that it is there."""
API_SECONDS = 30.0
"""Longest wait for one answer of a busy engine, so that a stuck one is an error and no hang."""
REMOVE_SECONDS = 10.0

_STDOUT = 1


class DockerSandbox(GradingSandbox):
    """Runs each submission in a container of its own, removed afterwards whatever happens."""

    name = "docker"

    def __init__(
        self,
        docker: aiodocker.Docker,
        runners: Mapping[str, Runner],
        run_id: str,
        runtime: str | None = None,
    ) -> None:
        """Use an open connection, which `aclose` closes."""
        super().__init__(runners)
        self._docker = docker
        self._runtime = runtime
        self._labels = {RUN_LABEL: run_id, OWNER_LABEL: owners.mine()}

    @classmethod
    async def open(
        cls, runners: Mapping[str, Runner], run_id: str, runtime: str | None = None
    ) -> Self:
        """Connect to the engine, remove what dead runs left there, and check the images.

        `runtime` is the OCI runtime of the containers, as the engine knows it (None: its default).

        Raises:
            NoSandboxError: no engine answers.
            SandboxError: the runtime or an image is missing; names the command that builds it.
        """
        docker = await _connect()
        try:
            await _reap(docker)
            await _check_runtime(docker, runtime)
            await _check_images(docker, runners)
        except BaseException:
            await _close(docker)
            raise
        return cls(docker, runners, run_id, runtime)

    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        """Run once in a fresh container.

        Raises:
            SandboxError: the engine failed, or somebody else ended the container.
        """
        launch, archive = Launch(submission), pack(submission.files)
        config = self.config(runner, launch.argv(archive, cgroup=CGROUP), submission.options)
        async with self.started(config) as (container, stream):
            capture = Capture(launch, runner.limits)
            await write(stream, launch.stdin(archive))
            if await read(stream, capture, submission.timeout):
                return await last_words(container, capture)
            out_of_memory = await _out_of_memory(container)
            return capture.execution(None, timed_out=True, out_of_memory=out_of_memory)

    async def aclose(self) -> None:
        """Remove what is left of this run, and close the connection."""
        with anyio.CancelScope(shield=True):
            try:
                with suppress(SandboxError):  # a dead engine: the next start reaps what it left
                    for container in await self.containers():
                        await _remove(container)
            finally:
                await _close(self._docker)

    async def containers(self) -> list[DockerContainer]:
        """The containers of this run that exist now.

        Raises:
            SandboxError: the engine does not tell.
        """
        return await _labelled(self._docker, RUN_LABEL, self._labels)

    @asynccontextmanager
    async def started(
        self, config: dict[str, Any]
    ) -> AsyncIterator[tuple[DockerContainer, Stream]]:
        """A running container and its stdin, stdout and stderr; removed at the end."""
        async with self._container(config) as container, _attached(container) as stream:
            await _api("start a container", container.start())
            yield container, stream

    @asynccontextmanager
    async def _container(self, config: dict[str, Any]) -> AsyncIterator[DockerContainer]:
        # Named by us, so that it can be removed even when the engine's answer never came; not to
        # be interrupted, so that the engine is never asked to remove what it is still making.
        name = f"llmbench-{uuid4().hex}"
        container = self._docker.containers.container(name)
        try:
            with anyio.CancelScope(shield=True):
                created = self._docker.containers.create(config, name=name)
                await _api("create a container", created)
            yield container
        finally:
            with anyio.CancelScope(shield=True):
                await _remove(container)

    def config(self, runner: Runner, argv: list[str], options: Mapping[str, str]) -> dict[str, Any]:
        """What the engine is told of a container: every limit there is."""
        limits = runner.limits
        memory = limits.memory_mb * 2**20
        # By owner and by mode: runc puts the mode of the image's folder in the place of ours.
        scratch = f"rw,exec,nosuid,nodev,uid={UID},mode=1777,size={limits.work_mb}m"
        ulimits = {"fsize": limits.file_mb * 2**20, "nofile": limits.open_files, "core": 0}
        variables = {"HOME": "/tmp", "TMPDIR": "/tmp", **runner.environment(options)}
        return {
            "Image": runner.about.image,
            "Entrypoint": argv[:1],
            "Cmd": argv[1:],
            "Env": [f"{name}={value}" for name, value in variables.items()],
            "WorkingDir": WORK,
            "User": f"{UID}:{UID}",
            "OpenStdin": True,
            "StdinOnce": True,
            # Without it the engine starts its own program anew for each container, to set up the
            # network that `none` is; the container has an empty network of its own either way.
            "NetworkDisabled": True,
            "Labels": self._labels,
            "HostConfig": {
                "Init": True,
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "Tmpfs": {WORK: scratch, "/tmp": scratch},
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "Memory": memory,
                "MemorySwap": memory,
                "NanoCpus": int(limits.cpus * 1e9),
                "PidsLimit": limits.pids,
                "Ulimits": [{"Name": n, "Soft": v, "Hard": v} for n, v in ulimits.items()],
                "LogConfig": {"Type": "none"},
                **({"Runtime": self._runtime} if self._runtime else {}),
            },
        }


@asynccontextmanager
async def _attached(container: DockerContainer) -> AsyncIterator[Stream]:
    """The container's stdin, stdout and stderr, from before it starts."""

    async def request() -> tuple[URL, bytes | None, bool]:
        query = {"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1}
        return URL(f"containers/{container.id}/attach").with_query(query), None, False

    # What `container.attach()` makes, without its asking the engine for a terminal we know of.
    stream = Stream(container.docker, request)
    try:
        await _api("attach to a container", stream._init())
        yield stream
    finally:
        await stream.close()


async def write(stream: Stream, data: bytes) -> None:
    """Send data to a container."""
    with suppress(ConnectionError, aiohttp.ClientError):  # it ended early: its output says why
        await _api("send files to a container", stream.write_in(data))


async def read(stream: Stream, capture: Capture, timeout: float) -> bool:  # noqa: ASYNC109 - of the tests
    """Read until the container has finished or ended; False when that did not come in time."""
    started = False
    with anyio.move_on_after(API_SECONDS) as scope:
        while not capture.finished and (message := await stream.read_out()) is not None:
            (capture.stdout if message.stream == _STDOUT else capture.stderr)(message.data)
            if capture.started and not started:
                scope.deadline = anyio.current_time() + timeout + OUTER_GRACE_SECONDS
                started = True
    return not scope.cancelled_caught


async def last_words(container: DockerContainer, capture: Capture) -> Execution:
    """The evidence of a container that has ended by itself.

    Raises:
        SandboxError: the tests never began, or the engine does not tell.
    """
    ended = await _api("wait for a container", container.wait())
    code: int = ended["StatusCode"]
    out_of_memory = code != 0 and await _out_of_memory(container)
    return capture.execution(code, out_of_memory=out_of_memory)


async def _out_of_memory(container: DockerContainer) -> bool:
    state = (await _api("inspect a container", container.show()))["State"]
    return bool(state["OOMKilled"])


async def _remove(container: DockerContainer) -> None:
    with suppress(SandboxError), anyio.move_on_after(REMOVE_SECONDS):
        # Gone, being removed by somebody else, or the engine is: the next start reaps it.
        await _api("remove a container", container.delete(force=True, v=True))


async def _labelled(
    docker: aiodocker.Docker, label: str, labels: Mapping[str, str] | None = None
) -> list[DockerContainer]:
    wanted = f"{label}={labels[label]}" if labels else label
    filters = json.dumps({"label": [wanted]})
    return await _api("list containers", docker.containers.list(all="true", filters=filters))


async def _reap(docker: aiodocker.Docker) -> None:
    """Remove the containers of processes that are dead."""
    for container in await _labelled(docker, OWNER_LABEL):
        if owners.is_dead(container["Labels"][OWNER_LABEL]):
            await _remove(container)


async def _check_runtime(docker: aiodocker.Docker, runtime: str | None) -> None:
    if runtime is None:
        return
    known = (await _api("say what it can do", docker.system.info())).get("Runtimes") or {}
    if runtime not in known:
        names = ", ".join(sorted(known))
        raise NoSandboxError(
            f"--docker-runtime {runtime}: the engine does not know it (it knows: {names})"
        )


async def _check_images(docker: aiodocker.Docker, runners: Mapping[str, Runner]) -> None:
    there = {
        tag
        for image in await _api("list images", docker.images.list())
        for tag in image.get("RepoTags") or ()
    }
    missing = [r for r in runners.values() if not _is_there(r.about.image, there)]
    if missing:
        names = ", ".join(runner.about.image for runner in missing)
        build = " && ".join(f"docker build -t {r.about.image} {r.folder}" for r in missing)
        raise SandboxError(f"the engine has no image {names}; make it: {build}")


def _is_there(image: str, tags: set[str]) -> bool:
    tagged = image if ":" in image.rpartition("/")[2] else f"{image}:latest"
    return bool({tagged, f"localhost/{tagged}"} & tags)


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


async def _connect() -> aiodocker.Docker:
    tried = addresses()
    for address in tried:
        try:
            docker = _client(address)
        except ValueError:
            continue
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                await docker.version()
        except (aiodocker.DockerError, aiohttp.ClientError, OSError):
            await _close(docker)
        else:
            return docker
    where = f"at {', '.join(tried)}" if tried else "and no socket of Docker or Podman was found"
    raise NoSandboxError(f"no Docker engine answers {where}: start Docker, or set DOCKER_HOST")


def _client(address: str) -> aiodocker.Docker:
    scheme = "unix://"
    if not address.startswith(scheme):
        return aiodocker.Docker(address)
    # Each attached container holds a connection: the usual bound of 100 would stall the others.
    connector = aiohttp.UnixConnector(address.removeprefix(scheme), limit=0)
    return aiodocker.Docker(f"{scheme}localhost", connector=connector)


async def _close(docker: aiodocker.Docker) -> None:
    await docker.close()
    await docker.connector.close()


async def _api(what: str, call: Awaitable[T]) -> T:
    """The engine's answer, in bounded time, any fault of it as a SandboxError."""
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
