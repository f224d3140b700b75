"""Docker with warm containers: each serves many submissions, one after another."""

import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Self

import anyio
from aiodocker.containers import DockerContainer
from aiodocker.stream import Stream

from llmbench.errors import SandboxError, UsageError
from llmbench.records import Submission
from llmbench.runners import Runner
from llmbench.sandboxes.base import Execution
from llmbench.sandboxes.docker.container import UID, DockerSandbox, exit_evidence, receive, send
from llmbench.sandboxes.launch import CGROUP, HOME, Capture, Launch, pack

SUPERVISOR = Path(__file__).with_name("supervisor.sh")

ATTEMPTS = 200
"""A container is replaced after so many submissions, if not before."""

HEADROOM_MB = 256
"""Memory of a container for what stays warm in it."""

HEADROOM_PIDS = 64

FIRST_USER, USERS = 20_000, 40_000
"""Users of the tests: each submission has its own. Rootless engines map 65,536 of them."""


@dataclass(eq=False)
class _Container:
    """One warm container; `stack` removes it."""

    stack: AsyncExitStack
    container: DockerContainer
    stream: Stream
    served: int = 0
    killed: int = 0


class WarmDockerSandbox(DockerSandbox):
    """Runs each submission as a user of its own in a container that waits for it, loaded.

    After each, all that its user ran is killed and all that it wrote is removed. A container is
    replaced after `ATTEMPTS` submissions, and at once when a submission had to be cut off from
    outside, was killed for memory, or left anything that could not be removed.
    """

    name = "docker-warm"

    def __init__(self, *given: Any) -> None:
        """As a `DockerSandbox`."""
        super().__init__(*given)
        self._idle: dict[str, list[_Container]] = {}
        self._users = count(secrets.randbelow(USERS))

    @classmethod
    async def open(
        cls, runners: Mapping[str, Runner], run_id: str, runtime: str | None = None
    ) -> Self:
        """As a `DockerSandbox`, but only on the engine's default runtime.

        Raises:
            UsageError: there is a `runtime`. Under gVisor what ran out of memory in a warm
                container was seen to end as a timeout.
        """
        if runtime is not None:
            raise UsageError(f"--warm works on the engine's default runtime, not on {runtime}")
        return await super().open(runners, run_id)

    @property
    def idle(self) -> int:
        """Containers that wait for their next submission."""
        return sum(map(len, self._idle.values()))

    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        """Run once, in a container that is idle or in a new one.

        Raises:
            SandboxError: the engine failed, or somebody else ended the container.
        """
        warm = await self._take(runner)
        reusable = False
        try:
            execution, reusable = await self._serve(warm, submission, runner)
        except SandboxError:
            # An engine that was started anew has none of them: the next try gets a new one.
            await self._drop_idle()
            raise
        finally:
            if reusable:
                self._idle.setdefault(runner.lang, []).append(warm)
            else:
                with anyio.CancelScope(shield=True):
                    await warm.stack.aclose()
        return execution

    async def aclose(self) -> None:
        """Remove what is left of this run, and close the connection."""
        with anyio.CancelScope(shield=True):
            await self._drop_idle()
        await super().aclose()

    async def _serve(
        self, warm: _Container, submission: Submission, runner: Runner
    ) -> tuple[Execution, bool]:
        launch, archive = Launch(submission), pack(submission.files)
        capture = Capture(launch, runner.limits)
        await send(warm.stream, self._request(launch, len(archive), runner) + archive)
        if not await receive(warm.container, warm.stream, capture, submission.timeout):
            return capture.execution(None, timed_out=True), False
        if not capture.finished:
            return await exit_evidence(warm.container, capture, whole=False), False
        ending = capture.ending()
        warm.served += 1
        for_memory = ending.killed > warm.killed
        execution = capture.execution(
            ending.exit_code, out_of_memory=for_memory and ending.exit_code != 0
        )
        return execution, ending.clean and not for_memory and warm.served < ATTEMPTS

    def _request(self, launch: Launch, size: int, runner: Runner) -> bytes:
        submission = launch.submission
        words = (
            launch.mark,
            launch.canary,
            FIRST_USER + next(self._users) % USERS,
            size,
            launch.cpu_backstop,
            f"{submission.timeout:.3f}",
            runner.limits.pids,
            *(f"{name}={value}" for name, value in runner.environment(submission.options).items()),
        )
        return " ".join(map(str, words)).encode() + b"\n"

    async def _take(self, runner: Runner) -> _Container:
        idle = self._idle.get(runner.lang)
        if idle:
            return idle.pop()
        stack = AsyncExitStack()
        started = self.started(self._warm_config(runner))
        return _Container(stack, *await stack.enter_async_context(started))

    def _warm_config(self, runner: Runner) -> dict[str, Any]:
        """A container as for one submission, but for the root in it and its headroom."""
        limits = replace(
            runner.limits,
            memory_mb=runner.limits.memory_mb + HEADROOM_MB,
            pids=runner.limits.pids + HEADROOM_PIDS,
        )
        argv = ["sh", "-c", SUPERVISOR.read_text(encoding="utf-8"), "sh", HOME, CGROUP]
        config = self.config(replace(runner, limits=limits), argv, {})
        config["User"] = "0:0"
        host = config["HostConfig"]
        host["Init"] = True  # which the tests, as other users, cannot end
        host["CapAdd"] = ["SETUID", "SETGID", "KILL"]
        private = f"rw,exec,nosuid,nodev,size={HEADROOM_MB}m"
        host["Tmpfs"] |= {
            "/run": f"{private},mode=755",
            "/build": f"{private},uid={UID},gid={UID},mode=711",
        }
        return config

    async def _drop_idle(self) -> None:
        """Remove every container that waits."""
        idle, self._idle = self._idle, {}
        for warm in (warm for waiting in idle.values() for warm in waiting):
            await warm.stack.aclose()
