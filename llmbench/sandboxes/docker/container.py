"""The sandbox of Docker, or an engine with its API: a fresh container for each submission."""

import logging
import math
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self
from uuid import uuid4

import aiodocker
import aiohttp
import anyio
from aiodocker.containers import DockerContainer
from aiodocker.stream import Stream
from yarl import URL

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.records import Submission
from llmbench.runners import Runner
from llmbench.sandboxes.base import (
    FIRST_SIGNAL,
    OUTER_GRACE_SECONDS,
    BaseSandbox,
    CrashError,
    Unusable,
    is_crash,
)
from llmbench.sandboxes.docker import client, images, owner
from llmbench.sandboxes.docker.client import OWNER_LABEL, RUN_LABEL, call
from llmbench.sandboxes.docker.endpoints import Endpoint
from llmbench.sandboxes.docker.images import Builds, Connection, Image
from llmbench.sandboxes.launch import CGROUP, WORK, Capture, Launch, pack
from llmbench.sandboxes.local.toolchains import cache_dir
from llmbench.sandboxes.system_calls import engine_profile
from llmbench.sandboxes.verdict import Execution

logger = logging.getLogger(__name__)

FIRST_USER, USERS = 20_000, 40_000
"""User ids of the tests: each submission has its own. Rootless engines map 65,536 of them."""

CAPABILITIES = ("SETUID", "SETGID", "KILL")
"""Those of root in a container: to become another user, and to end that user's processes."""

RESTART_SECONDS = 30.0
"""Longest wait for an engine that failed: it may be restarting."""
RECONNECT_PAUSE = 0.2
LATE_SECONDS = 1.0
"""Time in which an engine that was stuck must send the output it held back."""

PROFILE = "system-calls.json"
"""File of the profile of system calls, for an engine that reads a file."""

_STDOUT = 1


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine as containers depend on it.

    `security` are further options of a container's security, as the engine reads them. It refuses
    containers with more than `cpus` cores. `unusable` are the options that its images may not
    know.
    """

    security: Sequence[str] = ()
    cpus: float = math.inf
    unusable: Unusable = field(default_factory=dict)


class DockerSandbox(BaseSandbox):
    """A sandbox that runs each submission in a container of its own and always removes it."""

    name = "docker"

    def __init__(
        self,
        connection: tuple[Endpoint, aiodocker.Docker],
        runners: Mapping[str, Runner],
        run_id: str,
        runtime: str | None = None,
        engine: EngineInfo = EngineInfo(),
    ) -> None:
        """Use the engine of an open connection, which `aclose` closes."""
        super().__init__(runners, engine.unusable)
        self._engine = engine
        self._endpoint, self._docker = connection
        self._runtime = runtime
        self._labels = {RUN_LABEL: run_id, OWNER_LABEL: owner.owner_label()}
        self._recovery = anyio.Lock()
        self._engine_gone = False
        self._users = count(secrets.randbelow(USERS))

    @classmethod
    async def open(
        cls,
        runners: Mapping[str, Runner],
        run_id: str,
        runtime: str | None = None,
        builds: Builds | None = None,
    ) -> Self:
        """Connect to the engine, remove containers of dead runs, and check the images.

        `runtime` is the engine's name of the containers' OCI runtime (None: its default). `builds`
        says if missing images are built (None: they are not).

        Raises:
            NoSandboxError: no engine answers, or it lacks the runtime.
            SandboxError: an image is missing or cannot be built; names the command that builds it.
        """
        endpoint, docker = await client.connect()
        try:
            await client.remove_orphans(docker)
            info = await call("describe itself", docker.system.info())
            _check_runtime(info, runtime)
            connection = Connection(endpoint, docker)
            changed = await images.prepare(connection, runners, builds or Builds())
            engine = EngineInfo(
                await _security(endpoint, docker), float(info["NCPU"]), _unusable_options(changed)
            )
        except BaseException:
            await client.close_client(docker)
            raise
        return cls((endpoint, docker), runners, run_id, runtime, engine)

    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        """Run once in a fresh container.

        Raises:
            SandboxError: the engine failed, or the container was ended from outside.
        """
        launch, archive = Launch(submission), pack(submission.files)
        argv = launch.argv(archive, cgroup=CGROUP, uid=self.next_user())
        config = self.config(runner, argv, submission.options)
        async with self.started(config) as (container, stream):
            capture = Capture(launch, runner.limits)
            await send(stream, launch.stdin(archive))
            if await receive(container, stream, capture, submission.timeout):
                return await exit_evidence(container, capture, complete=capture.ended)
            out_of_memory = await _out_of_memory(container)
            return capture.execution(None, timed_out=True, out_of_memory=out_of_memory)

    def next_user(self) -> int:
        """Return the user id of the next submission's tests."""
        return FIRST_USER + next(self._users) % USERS

    async def can_retry(self) -> bool:
        """Wait until the engine answers; False if it does not.

        After one wait in vain the next only asks once, until the engine answers again.
        """
        async with self._recovery:
            end = anyio.current_time() + (0.0 if self._engine_gone else RESTART_SECONDS)
            while not await self._can_reconnect():
                if anyio.current_time() >= end:
                    self._engine_gone = True
                    return False
                await anyio.sleep(RECONNECT_PAUSE)
            self._engine_gone = False
            return True

    async def _can_reconnect(self) -> bool:
        """True if a new connection works: an engine that is stopping still serves the old ones."""
        docker = client.open_client(self._endpoint)
        try:
            return await client.ping(docker) is None
        finally:
            await client.close_client(docker)

    async def versions(self) -> dict[str, str]:
        """Return the engine, its OCI runtime, and the digest of each language's image.

        Raises:
            SandboxError: the engine did not report them.
        """
        version = await call("report its version", self._docker.version())
        info = await call("describe itself", self._docker.system.info())
        digests = {
            f"{lang} image": f"{image}@{await client.image_digest(self._docker, runner)}"
            for lang, runner in self.runners.items()
            for image in [runner.config.image]
        }
        runtime = self._runtime or info.get("DefaultRuntime") or "?"
        return {"engine": client.engine_version(version), "runtime": runtime} | digests

    async def aclose(self) -> None:
        """Remove the containers of this run, and close the connection."""
        with anyio.CancelScope(shield=True):
            try:
                with suppress(SandboxError):  # a dead engine: the next start removes them
                    for container in await self.containers():
                        await client.remove_container(container)
            finally:
                await client.close_client(self._docker)

    async def containers(self) -> list[DockerContainer]:
        """Return the containers of this run that exist now.

        Raises:
            SandboxError: the engine did not list them.
        """
        return await client.list_containers(self._docker, RUN_LABEL, self._labels[RUN_LABEL])

    @asynccontextmanager
    async def started(
        self, config: dict[str, Any]
    ) -> AsyncIterator[tuple[DockerContainer, Stream]]:
        """Start a container, yield it with its stdin, stdout and stderr, and remove it."""
        async with self._container(config) as container, _attached(container) as stream:
            await call("start a container", container.start())
            logger.debug("started container %s", container.id)
            yield container, stream

    @asynccontextmanager
    async def _container(self, config: dict[str, Any]) -> AsyncIterator[DockerContainer]:
        # We choose the name, so that it can be removed even if the engine never answered. Shielded,
        # so that the engine is never asked to remove a container that it is still creating.
        name = f"llmbench-{uuid4().hex}"
        container = self._docker.containers.container(name)
        try:
            with anyio.CancelScope(shield=True):
                created = self._docker.containers.create(config, name=name)
                await call("create a container", created)
            logger.debug("created container %s from %s", name, config["Image"])
            yield container
        finally:
            with anyio.CancelScope(shield=True):
                await client.remove_container(container)

    def config(self, runner: Runner, argv: list[str], options: Mapping[str, str]) -> dict[str, Any]:
        """Return the request that creates a container, with every limit."""
        limits = runner.limits
        memory = limits.memory_mb * 2**20
        # No uid=, which Podman refuses. runc replaces our mode by that of the image's folder, so
        # /work is 1777 in each image too.
        scratch = f"rw,exec,nosuid,nodev,mode=1777,size={limits.work_mb}m"
        ulimits = {"fsize": limits.file_mb * 2**20, "nofile": limits.open_files, "core": 0}
        variables = {"HOME": "/tmp", "TMPDIR": "/tmp", **runner.environment(options)}
        return {
            "Image": runner.config.image,
            "Entrypoint": argv[:1],
            "Cmd": argv[1:],
            "Env": [f"{name}={value}" for name, value in variables.items()],
            "WorkingDir": WORK,
            "User": "0:0",
            "OpenStdin": True,
            "StdinOnce": True,
            # Otherwise the engine starts its own program again for each container, to set up the
            # network `none`; the container has an empty network of its own either way.
            "NetworkDisabled": True,
            "Labels": self._labels,
            # No process in it has anything to clean up.
            "StopSignal": "SIGKILL",
            "HostConfig": {
                # The launcher is process 1, which no signal from inside ends, and the tests are
                # another user. If it did not reach its end, it was killed from outside or for
                # memory.
                "Init": False,
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "Tmpfs": {WORK: scratch, "/tmp": scratch},
                "CapDrop": ["ALL"],
                "CapAdd": list(CAPABILITIES),
                "SecurityOpt": ["no-new-privileges", *self._engine.security],
                "Memory": memory,
                "MemorySwap": memory,
                "NanoCpus": int(min(limits.cpus, self._engine.cpus) * 1e9),
                "PidsLimit": limits.pids,
                "Ulimits": [{"Name": n, "Soft": v, "Hard": v} for n, v in ulimits.items()],
                "LogConfig": {"Type": "none"},
                **({"Runtime": self._runtime} if self._runtime else {}),
            },
        }


@asynccontextmanager
async def _attached(container: DockerContainer) -> AsyncIterator[Stream]:
    """Attach to stdin, stdout and stderr of a container that has not started."""

    async def request() -> tuple[URL, bytes | None, bool]:
        query = {"stream": 1, "stdin": 1, "stdout": 1, "stderr": 1}
        return URL(f"containers/{container.id}/attach").with_query(query), None, False

    # As `container.attach()`, without asking the engine first if the container has a terminal.
    stream = Stream(container.docker, request)
    try:
        await call("attach to a container", stream._init())
        yield stream
    finally:
        await stream.close()


async def send(stream: Stream, data: bytes) -> None:
    """Send data to a container."""
    with suppress(ConnectionError, aiohttp.ClientError):  # it ended early: its output says why
        await call("send files to a container", stream.write_in(data))


async def receive(
    container: DockerContainer,
    stream: Stream,
    capture: Capture,
    timeout: float,  # noqa: ASYNC109 - of the tests
) -> bool:
    """Read until the container has finished or ended; False if that took too long.

    Raises:
        SandboxError: the connection broke, the engine is stuck, or the container was paused.
    """
    test_seconds = timeout + OUTER_GRACE_SECONDS
    if await _receive(stream, capture, client.API_SECONDS, test_seconds):
        return True
    # A stuck engine is no timeout of the tests: it must answer, and may still hold output back.
    if (await call("inspect a container", container.show()))["State"]["Paused"]:
        raise SandboxError("a container was paused from outside")
    return await _receive(stream, capture, LATE_SECONDS, test_seconds)


async def _receive(
    stream: Stream, capture: Capture, start_seconds: float, test_seconds: float
) -> bool:
    """As `receive`: at most `start_seconds`, and `test_seconds` from the start of the tests."""
    started = capture.started
    try:
        with anyio.move_on_after(start_seconds) as scope:
            while not capture.warm_result and (message := await stream.read_out()) is not None:
                (capture.stdout if message.stream == _STDOUT else capture.stderr)(message.data)
                if capture.started and not started:
                    scope.deadline, started = anyio.current_time() + test_seconds, True
    except (aiohttp.ClientError, OSError) as error:
        raise SandboxError(f"the engine hung up on a container: {error}") from error
    return not scope.cancelled_caught


async def exit_evidence(
    container: DockerContainer, capture: Capture, *, complete: bool
) -> Execution:
    """Return the evidence of a container that has ended; `complete` if it reached its own end.

    Raises:
        SandboxError: it was ended from outside or crashed, the tests never began, or the engine
            does not answer.
    """
    result = await call("wait for a container", container.wait())
    code: int = result["StatusCode"]
    out_of_memory = code != 0 and await _out_of_memory(container)
    # Without a signal it was gVisor that ended: a fork bomb uses up its threads.
    by_signal = code >= FIRST_SIGNAL
    if capture.started and by_signal and not complete and not out_of_memory:
        if is_crash(code):
            raise CrashError(f"a container crashed with exit code {code}", capture.execution(code))
        raise SandboxError(f"a container was ended from outside, with exit code {code}")
    return capture.execution(code, out_of_memory=out_of_memory)


async def _out_of_memory(container: DockerContainer) -> bool:
    state = (await call("inspect a container", container.show()))["State"]
    return bool(state["OOMKilled"])


async def _security(endpoint: Endpoint, docker: aiodocker.Docker) -> list[str]:
    """The option that gives an engine our profile of system calls.

    Docker reads the profile itself, Podman the path of a file on its machine. A Podman elsewhere
    keeps its own profile.
    """
    version = await call("report its version", docker.version())
    if not client.engine_version(version).startswith("Podman"):
        return [f"seccomp={engine_profile()}"]
    if not endpoint.url.startswith("unix:"):
        return []
    path = cache_dir() / PROFILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(engine_profile())
    except OSError as error:
        raise SandboxError(f"{path} cannot be written: {error.strerror}") from None
    return [f"seccomp={path}"]


def _unusable_options(changed: Sequence[Image]) -> Unusable:
    """The options that images from another state of their folders may not know."""
    return {
        (image.runner.lang, name): (images.describe(image), images.build_command([image.runner]))
        for image in changed
        for name, option in image.runner.config.options.items()
        if option.programs
    }


def _check_runtime(info: Mapping[str, Any], runtime: str | None) -> None:
    known = info.get("Runtimes") or {}
    if runtime is not None and runtime not in known:
        names = ", ".join(sorted(known))
        raise NoSandboxError(f"the engine has no runtime {runtime}", hint=f"choose from {names}")
