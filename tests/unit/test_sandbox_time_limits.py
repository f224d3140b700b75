"""How long tests may take."""

from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from llmbench.errors import SandboxError
from llmbench.records import Outcome, Problem, Submission, Verdict
from llmbench.runners import ResourceLimits, Runner, RunnerConfig
from llmbench.sandboxes.time_limits import TimeLimit, TimeLimits

pytestmark = pytest.mark.anyio

ABOUT = RunnerConfig(
    title="Any", fences=("any",), solution="s", image="i", report="junit", toolchain={"sh": None}
)
RUNNERS = {"any": Runner("any", Path("/nowhere"), ABOUT, ResourceLimits())}
PASSED = Verdict(Outcome.PASSED, cpu_seconds=1.5)


def a_problem(timeout: float | str | None, reference: str = "good") -> Problem:
    return Problem("p", "any", "-", {"t": "x"}, reference=reference, timeout=timeout)


@dataclass
class Timed:
    """Gives every submission the same verdict, after a moment."""

    verdict: Verdict
    name: str = "timed"
    ran: list[Submission] = field(default_factory=list)

    async def run(self, submission: Submission) -> Verdict:
        self.ran.append(submission)
        await anyio.sleep(0.01)
        return self.verdict

    async def versions(self) -> dict[str, str]:
        return {}

    async def aclose(self) -> None: ...


@pytest.mark.parametrize(
    ("stated", "most", "allowed"),
    [
        (None, 45, (45, 45)),
        (5.0, 45, (5, 15)),
        (20.0, 45, (20, 45)),
        (60.0, 45, (45, 45)),
        ("4x", 45, (6, 18)),
        ("1x", 45, (2, 6)),
        ("100x", 45, (45, 45)),
    ],
)
async def test_an_allowance_is_firm_in_processor_time_and_generous_by_the_clock(
    stated: float | str | None, most: float, allowed: tuple[float, float]
) -> None:
    allowances = TimeLimits(Timed(PASSED), RUNNERS, most)
    assert await allowances.of(a_problem(stated)) == TimeLimit(*allowed)


async def test_a_reference_is_measured_once_however_many_wait_for_it() -> None:
    sandbox = Timed(PASSED)
    allowances = TimeLimits(sandbox, RUNNERS, 45)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(allowances.of, a_problem("4x"))
    assert [submission.files["s"] for submission in sandbox.ran] == ["good"]


async def test_a_reference_that_fails_here_is_a_fault_of_the_sandbox() -> None:
    allowances = TimeLimits(Timed(Verdict(Outcome.FAILED)), RUNNERS, 45)
    with pytest.raises(SandboxError, match=r"limit of p is 4x .* does not pass here \(failed\)"):
        await allowances.of(a_problem("4x"))
