"""The sandbox of Docker with warm containers: each runs many submissions, one after another."""

import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
from aiodocker.containers import DockerContainer
from aiodocker.stream import Stream

from llmbench.errors import SandboxError
from llmbench.records import Submission
from llmbench.runners import ResourceLimits, Runner
from llmbench.sandboxes.docker.container import DockerSandbox, exit_evidence, receive, send
from llmbench.sandboxes.launch import CGROUP, HOME, Capture, Launch, pack
from llmbench.sandboxes.verdict import Execution

logger = logging.getLogger(__name__)

SUPERVISOR = Path(__file__).with_name("supervisor.sh")

MAX_SUBMISSIONS = 200
"""Submissions after which a container is replaced."""

HEADROOM_MB = 256
"""Memory of a container for the processes that stay in it."""

HEADROOM_PIDS = 64

BUILDER = 10001
"""User id that compiles, and never runs a submission; see runners/README.md."""

SYSCTLS = {"net.ipv4.tcp_max_tw_buckets": "0"}
"""No socket of a submission waits in TIME_WAIT, where it would keep its port from the next."""


@dataclass(eq=False)
class _Container:
    """One warm container; closing `stack` removes it.

    `oom_kills` counts the processes killed for memory in its life.
    """

    stack: AsyncExitStack
    container: DockerContainer
    stream: Stream
    served: int = 0
    oom_kills: int = 0


class WarmDockerSandbox(DockerSandbox):
    """A sandbox that runs each submission as a user of its own in a running container.

    After each submission its user's processes are killed and its files removed. A container is
    replaced after `MAX_SUBMISSIONS`. It is replaced at once if a submission had to be killed from
    outside, ran out of memory, or left anything that could not be removed.
    """

    name = "docker-warm"

    def __init__(self, *args: Any) -> None:
        """As for a `DockerSandbox`."""
        super().__init__(*args)
        self._idle: dict[tuple[str, ResourceLimits], list[_Container]] = {}

    @property
    def idle(self) -> int:
        """Number of containers that wait for their next submission."""
        return sum(map(len, self._idle.values()))

    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        """Run once, in a container that is idle or in a new one.

        Raises:
            SandboxError: the engine failed, or the container was ended from outside.
        """
        warm = await self._acquire(runner)
        reusable = False
        try:
            execution, reusable = await self._run_in(warm, submission, runner)
        except SandboxError:
            # A restarted engine has none of them: the next try gets a new one.
            await self._drop_idle()
            raise
        finally:
            if reusable:
                self._idle.setdefault((runner.lang, runner.limits), []).append(warm)
            else:
                logger.debug("replacing a container after %d submissions", warm.served)
                with anyio.CancelScope(shield=True):
                    await warm.stack.aclose()
        return execution

    async def aclose(self) -> None:
        """Remove the containers of this run, and close the connection."""
        with anyio.CancelScope(shield=True):
            await self._drop_idle()
        await super().aclose()

    async def _run_in(
        self, warm: _Container, submission: Submission, runner: Runner
    ) -> tuple[Execution, bool]:
        launch, archive = Launch(submission), pack(submission.files)
        capture = Capture(launch, runner.limits)
        await send(warm.stream, self._request(launch, len(archive), runner) + archive)
        if not await receive(warm.container, warm.stream, capture, submission.timeout):
            return capture.execution(None, timed_out=True), False
        result = capture.warm_result
        if result is None:
            return await exit_evidence(warm.container, capture, complete=False), False
        warm.served += 1
        oom_killed = result.oom_kills > warm.oom_kills
        execution = capture.execution(
            result.exit_code, out_of_memory=oom_killed and result.exit_code != 0
        )
        return execution, result.clean and not oom_killed and warm.served < MAX_SUBMISSIONS

    def _request(self, launch: Launch, size: int, runner: Runner) -> bytes:
        """The line that asks the supervisor to run a submission."""
        submission = launch.submission
        fields = (
            launch.first_mark,
            launch.mark,
            launch.canary,
            self.next_user(),
            size,
            launch.cpu_backstop,
            f"{submission.timeout:.3f}",
            runner.limits.pids,
            *(f"{name}={value}" for name, value in runner.environment(submission.options).items()),
        )
        return " ".join(map(str, fields)).encode() + b"\n"

    async def _acquire(self, runner: Runner) -> _Container:
        idle = self._idle.get((runner.lang, runner.limits))
        if idle:
            return idle.pop()
        stack = AsyncExitStack()
        started = self.started(self._warm_config(runner))
        return _Container(stack, *await stack.enter_async_context(started))

    def _warm_config(self, runner: Runner) -> dict[str, Any]:
        """The request for a container: as for one submission, with root and headroom."""
        limits = replace(
            runner.limits,
            memory_mb=runner.limits.memory_mb + HEADROOM_MB,
            pids=runner.limits.pids + HEADROOM_PIDS,
        )
        argv = ["sh", "-c", SUPERVISOR.read_text(encoding="utf-8"), "sh", HOME, CGROUP]
        config = self.config(replace(runner, limits=limits), argv, {})
        host = config["HostConfig"]
        host["Init"] = True  # the tests, as other users, cannot end it
        host["Sysctls"] = SYSCTLS
        private = f"rw,exec,nosuid,nodev,size={HEADROOM_MB}m"
        host["Tmpfs"] |= {
            "/run": f"{private},mode=755",
            "/build": f"{private},uid={BUILDER},gid={BUILDER},mode=711",
        }
        return config

    async def _drop_idle(self) -> None:
        """Remove every idle container."""
        idle, self._idle = self._idle, {}
        for warm in (warm for waiting in idle.values() for warm in waiting):
            await warm.stack.aclose()
