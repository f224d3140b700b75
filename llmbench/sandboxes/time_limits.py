"""How long the tests of a problem may take: firm in processor time, generous by the clock."""

from collections.abc import Mapping
from typing import NamedTuple

import anyio

from llmbench.errors import SandboxError
from llmbench.records import AttemptKey, Outcome, Problem
from llmbench.runners import Runner
from llmbench.sandboxes.base import Sandbox

WALL_PER_CPU = 3.0
"""Wall seconds for each second of processor time: on a busy machine tests wait their turn."""

LEAST_SECONDS = 2.0
"""Least limit that a multiple of the reference's time comes to: short times vary by more."""


class TimeLimit(NamedTuple):
    """Limits of one test run in seconds: of processor time, and by the clock."""

    cpu_seconds: float
    timeout: float


class TimeLimits:
    """The allowance of each problem; none is by the clock above `most` seconds."""

    def __init__(self, sandbox: Sandbox, runners: Mapping[str, Runner], most: float) -> None:
        """Measure references, where a limit is a multiple of their time, in this sandbox."""
        self._sandbox = sandbox
        self._runners = runners
        self._most = most
        self._measured: dict[str, float] = {}
        self._measuring: dict[str, anyio.Lock] = {}

    async def of(self, problem: Problem) -> TimeLimit:
        """The allowance of a problem; without a limit of its own it has all there is.

        Raises:
            SandboxError: the limit is a multiple of the reference's time, and that fails here.
        """
        stated = problem.timeout
        if isinstance(stated, str):
            async with self._measuring.setdefault(problem.sha256, anyio.Lock()):
                if problem.sha256 not in self._measured:
                    self._measured[problem.sha256] = await self._measure(problem)
            factor = problem.timeout_factor or 1.0
            stated = max(LEAST_SECONDS, factor * self._measured[problem.sha256])
        cpu_seconds = min(stated or self._most, self._most)
        wall = WALL_PER_CPU * cpu_seconds if stated else self._most
        return TimeLimit(cpu_seconds, min(wall, self._most))

    async def _measure(self, problem: Problem) -> float:
        assert problem.reference is not None
        key = AttemptKey("reference", problem.id, 1)
        runner = self._runners[problem.lang]
        submission = runner.submission(key, problem, problem.reference, self._most)
        verdict = await self._sandbox.run(submission)
        if verdict.outcome is not Outcome.PASSED:
            raise SandboxError(
                f"the limit of {problem.id} is {problem.timeout} the time of its reference, "
                f"which does not pass here ({verdict.outcome}): mend it, or state seconds"
            )
        return verdict.cpu_seconds or verdict.seconds or 0.0
