"""Attempts per second and peak memory of the scheduler, with an instant model and sandbox.

python scripts/benchmarks/scheduler.py [ATTEMPTS ...]

The other parts are real: plan, prompts, code extraction, rows and journal. The first figure also
includes the work folder, whose three files per attempt depend on the speed of the disk. The last
figure is of the stages alone. Memory is the peak, and its growth since the first, small run: the
growth must not depend on the number of attempts.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import anyio.lowlevel

from llmbench.attempt import AnsweredAttempt
from llmbench.completions import Completion, Usage
from llmbench.events import ignore
from llmbench.plan import EndpointPlan, Plan, bundled_dir
from llmbench.records import (
    Attempt,
    Message,
    Outcome,
    Problem,
    Sampling,
    Submission,
    Target,
    Verdict,
)
from llmbench.runners import load_runners
from llmbench.runs.run import RunJob, assemble
from llmbench.scheduler import Scheduler, Workload
from llmbench.store.journal import Journal
from llmbench.store.run_dir import RunDirectory

TEXT = "Here it is:\n\n```python\n" + "def solve(x):\n    return x\n" * 20 + "```\n"
PROBLEMS = 50
SLOTS = 64
SANDBOXES = 8


class InstantModel:
    """Answers immediately."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.unsupported_params: Mapping[str, str | None] = {}
        self.limit_notes: Iterable[str] = ()

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """Return the same text each time."""
        async with slot:
            await anyio.lowlevel.checkpoint()
        usage = Usage(100, 200)
        return Completion(TEXT, finish_reason="stop", usage=usage, llm_seconds=1, ttft_seconds=0.1)

    def drain(self) -> int:
        """Return 0: no request waits."""
        return 0


class InstantSandbox:
    """Passes everything immediately."""

    name = "instant"

    async def run(self, submission: Submission) -> Verdict:
        """Return the same verdict each time."""
        await anyio.lowlevel.checkpoint()
        return Verdict(Outcome.PASSED, 0, 5, 5, 0.1, 0.1, "5 passed")

    def check_options(self, lang: str, options: Mapping[str, str]) -> None:
        """Accept all."""

    async def versions(self) -> dict[str, str]:
        """Return no versions: no program runs."""
        return {}

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""


class NoFiles(RunDirectory):
    """A work folder that keeps the journal only."""

    def keep(self, attempt: Attempt, texts: Mapping[str, str]) -> None:
        """Write no file."""


async def measure(attempts: int) -> list[float]:
    """Return attempts per second: with all parts, without the work folder, of the stages alone."""
    target = Target("instant", "instant", "http://localhost/v1", Sampling(4096))
    problems = tuple(
        Problem(f"p{n}", "python", "Write solve(x).", {"test_solution.py": "pass"})
        for n in range(PROBLEMS)
    )
    plan = Plan((EndpointPlan((target,), SLOTS),), problems, attempts // PROBLEMS, SANDBOXES, 45.0)
    rates = []
    for kind in (RunDirectory, NoFiles):
        with tempfile.TemporaryDirectory() as folder:
            work = kind(Path(folder))
            with Journal(work.path) as journal:
                job = RunJob(
                    plan=plan,
                    directory=work,
                    runners=load_runners(bundled_dir("runners")),
                    open_model=lambda target, _: InstantModel(target),
                )
                pipeline = assemble(job, InstantSandbox(), journal, ignore, ignore).pipeline
                scheduler = Scheduler(pipeline.ask, pipeline.grade, max_sandboxes=SANDBOXES)
                rates.append(await _rate(scheduler, plan))
    return [*rates, await _rate(Scheduler(_ask, _grade, max_sandboxes=SANDBOXES), plan)]


async def _rate(scheduler: Scheduler[Attempt, AnsweredAttempt], plan: Plan) -> float:
    began = time.perf_counter()
    await scheduler.run(Workload([plan.attempts()], anyio.CapacityLimiter(SLOTS), SLOTS))
    return plan.size / (time.perf_counter() - began)


async def _ask(attempt: Attempt, slot: AbstractAsyncContextManager[object]) -> AnsweredAttempt:
    async with slot:
        await anyio.lowlevel.checkpoint()
    return AnsweredAttempt(attempt, Completion(TEXT), "")


async def _grade(_: AnsweredAttempt) -> None:
    await anyio.lowlevel.checkpoint()


def main() -> None:
    """Print one line per number of attempts."""
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, 20_000, 100_000]
    first = 0.0
    print(f"{'attempts':>8} {'all/s':>9} {'no files/s':>11} {'stages/s':>9} {'peak MiB':>9} growth")
    for size in sizes:
        rates = anyio.run(measure, size)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        first = first or peak
        figures = f"{rates[0]:9.0f} {rates[1]:11.0f} {rates[2]:9.0f}"
        print(f"{size:8} {figures} {peak:9.1f} {peak - first:+6.1f}")


if __name__ == "__main__":
    main()
