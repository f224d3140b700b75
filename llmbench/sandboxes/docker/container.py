"""Docker, or any engine that speaks its API: a fresh container for each submission."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
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
from llmbench.sandboxes.base import OUTER_GRACE_SECONDS, Execution
from llmbench.sandboxes.docker import client as engine
from llmbench.sandboxes.docker import owner
from llmbench.sandboxes.docker.client import OWNER_LABEL, RUN_LABEL, api
from llmbench.sandboxes.grading import BaseSandbox
from llmbench.sandboxes.launch import CGROUP, WORK, Capture, Launch, pack

UID = 10001

RESTART_SECONDS = 30.0
"""How long an engine that fails is waited for: it may be starting anew."""
ANSWER_PAUSE = 0.2
LATE_SECONDS = 1.0
"""How long an engine that was stuck has to hand on what it held back."""

FIRST_SIGNAL = 128
"""Exit codes from here up say that a signal ended process 1, or that nobody knows what did."""

_STDOUT = 1


class DockerSandbox(BaseSandbox):
    """Runs each submission in a container of its own, removed afterwards whatever happens."""

    name = "docker"

    def __init__(
        self,
        connection: tuple[str, aiodocker.Docker],
        runners: Mapping[str, Runner],
        run_id: str,
        runtime: str | None = None,
    ) -> None:
        """Use the engine at an address over an open connection, which `aclose` closes."""
        super().__init__(runners)
        self._address, self._docker = connection
        self._runtime = runtime
        self._labels = {RUN_LABEL: run_id, OWNER_LABEL: owner.owner_label()}
        self._recovery = anyio.Lock()
        self._away = False

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
        address, docker = await engine.connect()
        try:
            await engine.reap(docker)
            await _check_runtime(docker, runtime)
            await _check_images(docker, runners)
        except BaseException:
            await engine.close(docker)
            raise
        return cls((address, docker), runners, run_id, runtime)

    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        """Run once in a fresh container.

        Raises:
            SandboxError: the engine failed, or somebody else ended the container.
        """
        launch, archive = Launch(submission), pack(submission.files)
        config = self.config(runner, launch.argv(archive, cgroup=CGROUP), submission.options)
        async with self.started(config) as (container, stream):
            capture = Capture(launch, runner.limits)
            await send(stream, launch.stdin(archive))
            if await receive(container, stream, capture, submission.timeout):
                return await exit_evidence(container, capture, whole=capture.ended)
            out_of_memory = await _out_of_memory(container)
            return capture.execution(None, timed_out=True, out_of_memory=out_of_memory)

    async def recovered(self) -> bool:
        """True once the engine answers; it is waited for, but not again until it came back."""
        async with self._recovery:
            end = anyio.current_time() + (0.0 if self._away else RESTART_SECONDS)
            while not await self._answers_anew():
                if anyio.current_time() >= end:
                    self._away = True
                    return False
                await anyio.sleep(ANSWER_PAUSE)
            self._away = False
            return True

    async def _answers_anew(self) -> bool:
        """Ask over a new connection: an engine that ends still serves those that it has."""
        docker = engine.client(self._address)
        try:
            return await engine.answers(docker)
        finally:
            await engine.close(docker)

    async def versions(self) -> dict[str, str]:
        """The engine, its OCI runtime, and the digest of each language's image.

        Raises:
            SandboxError: the engine does not tell.
        """
        about = await api("say its version", self._docker.version())
        usual = (await api("say what it can do", self._docker.system.info())).get("DefaultRuntime")
        images = {
            f"{lang} image": f"{runner.config.image}@{await engine.digest(self._docker, runner)}"
            for lang, runner in self.runners.items()
        }
        runtime = self._runtime or usual or "?"
        return {"engine": engine.version(about), "runtime": runtime} | images

    async def aclose(self) -> None:
        """Remove what is left of this run, and close the connection."""
        with anyio.CancelScope(shield=True):
            try:
                with suppress(SandboxError):  # a dead engine: the next start reaps what it left
                    for container in await self.containers():
                        await engine.remove(container)
            finally:
                await engine.close(self._docker)

    async def containers(self) -> list[DockerContainer]:
        """The containers of this run that exist now.

        Raises:
            SandboxError: the engine does not tell.
        """
        return await engine.labelled(self._docker, RUN_LABEL, self._labels[RUN_LABEL])

    @asynccontextmanager
    async def started(
        self, config: dict[str, Any]
    ) -> AsyncIterator[tuple[DockerContainer, Stream]]:
        """A running container and its stdin, stdout and stderr; removed at the end."""
        async with self._container(config) as container, _attached(container) as stream:
            await api("start a container", container.start())
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
                await api("create a container", created)
            yield container
        finally:
            with anyio.CancelScope(shield=True):
                await engine.remove(container)

    def config(self, runner: Runner, argv: list[str], options: Mapping[str, str]) -> dict[str, Any]:
        """What the engine is told of a container: every limit there is."""
        limits = runner.limits
        memory = limits.memory_mb * 2**20
        # No uid=, which Podman refuses. runc puts the mode of the image's folder in place of ours,
        # so /work is 1777 in each image, too.
        scratch = f"rw,exec,nosuid,nodev,mode=1777,size={limits.work_mb}m"
        ulimits = {"fsize": limits.file_mb * 2**20, "nofile": limits.open_files, "core": 0}
        variables = {"HOME": "/tmp", "TMPDIR": "/tmp", **runner.environment(options)}
        return {
            "Image": runner.config.image,
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
            # Nothing in it has anything to put in order.
            "StopSignal": "SIGKILL",
            "HostConfig": {
                # The launcher is process 1, which no signal from inside ends: when it has not come
                # to its end, it was ended from outside, or for memory.
                "Init": False,
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
        await api("attach to a container", stream._init())
        yield stream
    finally:
        await stream.close()


async def send(stream: Stream, data: bytes) -> None:
    """Send data to a container."""
    with suppress(ConnectionError, aiohttp.ClientError):  # it ended early: its output says why
        await api("send files to a container", stream.write_in(data))


async def receive(
    container: DockerContainer,
    stream: Stream,
    capture: Capture,
    timeout: float,  # noqa: ASYNC109 - of the tests
) -> bool:
    """Read until the container has finished or ended; False when that did not come in time.

    Raises:
        SandboxError: the connection broke, the engine is stuck, or somebody paused the container.
    """
    most = timeout + OUTER_GRACE_SECONDS
    if await _receive(stream, capture, engine.API_SECONDS, most):
        return True
    # A stuck engine is no timeout of the tests: it must answer, and has another moment to tell.
    if (await api("inspect a container", container.show()))["State"]["Paused"]:
        raise SandboxError("a container was paused from outside")
    return await _receive(stream, capture, LATE_SECONDS, most)


async def _receive(stream: Stream, capture: Capture, seconds: float, started: float) -> bool:
    """As `read`: so many seconds, and `started` more from the moment in which the tests begin."""
    before = capture.started
    try:
        with anyio.move_on_after(seconds) as scope:
            while not capture.finished and (message := await stream.read_out()) is not None:
                (capture.stdout if message.stream == _STDOUT else capture.stderr)(message.data)
                if capture.started and not before:
                    scope.deadline, before = anyio.current_time() + started, True
    except (aiohttp.ClientError, OSError) as error:
        raise SandboxError(f"the engine hung up on a container: {error}") from error
    return not scope.cancelled_caught


async def exit_evidence(container: DockerContainer, capture: Capture, *, whole: bool) -> Execution:
    """The evidence of a container that has ended; `whole` says that it came to its own end.

    Raises:
        SandboxError: somebody ended it from outside, the tests never began, or the engine does not
            tell.
    """
    ended = await api("wait for a container", container.wait())
    code: int = ended["StatusCode"]
    out_of_memory = code != 0 and await _out_of_memory(container)
    # No signal: what ended is gVisor, of which a fork bomb takes every thread.
    by_signal = code >= FIRST_SIGNAL
    if capture.started and by_signal and not whole and not out_of_memory:
        raise SandboxError(f"a container was ended from outside, with exit code {code}")
    return capture.execution(code, out_of_memory=out_of_memory)


async def _out_of_memory(container: DockerContainer) -> bool:
    state = (await api("inspect a container", container.show()))["State"]
    return bool(state["OOMKilled"])


async def _check_runtime(docker: aiodocker.Docker, runtime: str | None) -> None:
    if runtime is None:
        return
    known = (await api("say what it can do", docker.system.info())).get("Runtimes") or {}
    if runtime not in known:
        names = ", ".join(sorted(known))
        raise NoSandboxError(
            f"--docker-runtime {runtime}: the engine does not know it (it knows: {names})"
        )


async def _check_images(docker: aiodocker.Docker, runners: Mapping[str, Runner]) -> None:
    there = await engine.images(docker)
    missing = [r for r in runners.values() if not engine.is_there(r.config.image, there)]
    if missing:
        names = ", ".join(runner.config.image for runner in missing)
        build = " && ".join(map(engine.build_command, missing))
        raise SandboxError(f"the engine has no image {names}; make it: {build}")
