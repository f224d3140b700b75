"""Attempts per second and peak memory of the scheduler, with instant stand-ins for its parts.

python scripts/benchmarks/engine.py [ATTEMPTS ...]

All else is real: plan, prompts, code extraction, rows, journal and, in the first figure, the work
folder, whose three files per attempt are the disk's speed and not ours. The last figure is of
the stages alone. Memory is the peak, and its growth over the first, small run: flat means that it
does not grow with the attempts.
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

from llmbench import plan as config
from llmbench.attempt import AnsweredAttempt, AttemptPipeline
from llmbench.events import Event
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import (
    Attempt,
    Completion,
    Message,
    Outcome,
    Problem,
    Sampling,
    Submission,
    Target,
    Usage,
    Verdict,
)
from llmbench.runners import load_runners
from llmbench.scheduler import Scheduler, Workload
from llmbench.store.journal import Journal
from llmbench.store.run_dir import RunDirectory

TEXT = "Here it is:\n\n```python\n" + "def solve(x):\n    return x\n" * 20 + "```\n"
PROBLEMS = 50
SLOTS = 64
SANDBOXES = 8


class InstantModel:
    """Answers at once."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.unsupported_params: Mapping[str, str | None] = {}
        self.limit_notes: Iterable[str] = ()

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """The same text each time."""
        async with slot:
            await anyio.lowlevel.checkpoint()
        usage = Usage(100, 200)
        return Completion(TEXT, finish_reason="stop", usage=usage, llm_seconds=1, ttft_seconds=0.1)

    def drain(self) -> int:
        """Nobody waits."""
        return 0


class InstantSandbox:
    """Passes everything at once."""

    name = "instant"

    async def run(self, submission: Submission) -> Verdict:
        """The same verdict each time."""
        await anyio.lowlevel.checkpoint()
        return Verdict(Outcome.PASSED, 0, 5, 5, 0.1, 0.1, "5 passed")

    async def versions(self) -> dict[str, str]:
        """Nothing runs."""
        return {}

    async def aclose(self) -> None:
        """Nothing to close."""


class NoFiles(RunDirectory):
    """A work folder that keeps its journal and nothing else."""

    def keep(self, attempt: Attempt, texts: Mapping[str, str]) -> None:
        """Write nothing."""


async def measure(attempts: int) -> list[float]:
    """Attempts per second: with all parts, without the work folder, of the engine alone."""
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
                pipeline = AttemptPipeline(
                    plan,
                    {target.label: InstantModel(target)},
                    load_runners(config.bundled_dir("runners")),
                    InstantSandbox(),
                    journal,
                    work,
                    _hear,
                )
                rates.append(
                    await _rate(Scheduler(pipeline.ask, pipeline.grade, sandboxes=SANDBOXES), plan)
                )
    return [*rates, await _rate(Scheduler(_ask, _grade, sandboxes=SANDBOXES), plan)]


async def _rate(engine: Scheduler[Attempt, AnsweredAttempt], plan: Plan) -> float:
    began = time.perf_counter()
    await engine.run(Workload([plan.attempts()], anyio.CapacityLimiter(SLOTS), SLOTS))
    return plan.size / (time.perf_counter() - began)


def _hear(_: Event) -> None:
    pass


async def _ask(attempt: Attempt, slot: AbstractAsyncContextManager[object]) -> AnsweredAttempt:
    async with slot:
        await anyio.lowlevel.checkpoint()
    return AnsweredAttempt(attempt, Completion(TEXT), "")


async def _grade(_: AnsweredAttempt) -> None:
    await anyio.lowlevel.checkpoint()


def main() -> None:
    """Print one line per size."""
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
