"""Time limits of tests: strict in processor time, generous in wall time."""

from collections.abc import Mapping
from typing import NamedTuple

import anyio

from llmbench.errors import SandboxError
from llmbench.records import AttemptKey, Outcome, Problem
from llmbench.runners import Runner
from llmbench.sandboxes.base import Sandbox

WALL_PER_CPU = 3.0
"""Wall seconds for each second of processor time: on a busy machine tests wait for a core."""

LEAST_SECONDS = 2.0
"""Least limit that is a multiple of the reference's time: short times vary by more."""


class TimeLimit(NamedTuple):
    """Limits of one test run in seconds: of processor time, and of wall time."""

    cpu_seconds: float
    timeout: float


class TimeLimits:
    """The time limit of each problem, at most `max_seconds` of processor time."""

    def __init__(self, sandbox: Sandbox, runners: Mapping[str, Runner], max_seconds: float) -> None:
        """Measure references in this sandbox, where a limit is a multiple of their time."""
        self._sandbox = sandbox
        self._runners = runners
        self._max_seconds = max_seconds
        self._measured: dict[str, float] = {}
        self._measuring: dict[str, anyio.Lock] = {}

    async def of(self, problem: Problem) -> TimeLimit:
        """Return the limit of a problem; one that states none has `max_seconds`.

        Raises:
            SandboxError: the limit is a multiple of the reference's time, and the reference fails.
        """
        stated = problem.timeout
        if isinstance(stated, str):
            async with self._measuring.setdefault(problem.sha256, anyio.Lock()):
                if problem.sha256 not in self._measured:
                    self._measured[problem.sha256] = await self._measure(problem)
            factor = problem.timeout_factor or 1.0
            stated = max(LEAST_SECONDS, factor * self._measured[problem.sha256])
        cpu_seconds = min(stated or self._max_seconds, self._max_seconds)
        return TimeLimit(cpu_seconds, WALL_PER_CPU * cpu_seconds)

    async def _measure(self, problem: Problem) -> float:
        assert problem.reference is not None
        key = AttemptKey("reference", problem.id, 1)
        runner = self._runners[problem.lang]
        wall = WALL_PER_CPU * self._max_seconds
        submission = runner.submission(key, problem, problem.reference, wall, self._max_seconds)
        verdict = await self._sandbox.run(submission)
        if verdict.outcome is not Outcome.PASSED:
            raise SandboxError(
                f"the limit of {problem.id} is {problem.timeout} the time of its reference, "
                f"which does not pass here ({verdict.outcome})",
                hint="correct the reference, or state the limit in seconds",
            )
        return verdict.cpu_seconds or verdict.seconds or 0.0
