"""Time limits of tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from llmbench.errors import SandboxError
from llmbench.records import Outcome, Problem, Submission, Verdict
from llmbench.runners import ResourceLimits, Runner, RunnerConfig
from llmbench.sandboxes.time_limits import TimeLimit, TimeLimits

pytestmark = pytest.mark.anyio

CONFIG = RunnerConfig(
    title="Any", fences=("any",), solution="s", image="i", report="junit", toolchain={"sh": None}
)
RUNNERS = {"any": Runner("any", Path("/nowhere"), CONFIG, ResourceLimits())}
PASSED = Verdict(Outcome.PASSED, cpu_seconds=1.5)


def a_problem(timeout: float | str | None, reference: str = "good") -> Problem:
    return Problem("p", "any", "-", {"t": "x"}, reference=reference, timeout=timeout)


@dataclass
class FakeSandbox:
    """A sandbox that gives every submission the same verdict, after a moment."""

    verdict: Verdict
    name: str = "fake"
    ran: list[Submission] = field(default_factory=list)

    async def run(self, submission: Submission) -> Verdict:
        self.ran.append(submission)
        await anyio.sleep(0.01)
        return self.verdict

    def check_options(self, lang: str, options: Mapping[str, str]) -> None:
        pass

    async def versions(self) -> dict[str, str]:
        return {}

    async def aclose(self) -> None: ...


@pytest.mark.parametrize(
    ("stated", "max_seconds", "limit"),
    [
        (None, 45, (45, 135)),
        (5.0, 45, (5, 15)),
        (20.0, 45, (20, 60)),
        (60.0, 45, (45, 135)),
        ("4x", 45, (6, 18)),
        ("1x", 45, (2, 6)),
        ("100x", 45, (45, 135)),
    ],
)
async def test_a_limit_is_strict_in_processor_time_and_generous_in_wall_time(
    stated: float | str | None, max_seconds: float, limit: tuple[float, float]
) -> None:
    limits = TimeLimits(FakeSandbox(PASSED), RUNNERS, max_seconds)
    assert await limits.of(a_problem(stated)) == TimeLimit(*limit)


async def test_a_reference_is_measured_once_for_concurrent_requests() -> None:
    sandbox = FakeSandbox(PASSED)
    limits = TimeLimits(sandbox, RUNNERS, 45)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(limits.of, a_problem("4x"))
    assert [submission.files["s"] for submission in sandbox.ran] == ["good"]


async def test_a_reference_that_fails_is_a_sandbox_error() -> None:
    limits = TimeLimits(FakeSandbox(Verdict(Outcome.FAILED)), RUNNERS, 45)
    with pytest.raises(SandboxError, match=r"limit of p is 4x .* does not pass here \(failed\)"):
        await limits.of(a_problem("4x"))
