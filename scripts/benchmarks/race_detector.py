"""Attempts per second of Go with and without the race detector, with their ratio.

python scripts/benchmarks/race_detector.py [--attempts N] [--rounds N] [SANDBOX…]

The work is the references of the shipped problems with `race: on`. Both ways run them in turns, one
per core at once, after a few attempts to warm up; the medians of the rounds are printed. The
processor seconds of an attempt are those that its row would have: compiling and testing. Those of
the machine contain the engine's work too: run nothing else beside the benchmark.
"""

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

import anyio
import machine

from llmbench import problems
from llmbench.plan import TEST_TIMEOUT_SECONDS, bundled_dir
from llmbench.records import AttemptKey, Outcome, Submission
from llmbench.runners import load_runners
from llmbench.sandboxes.base import Sandbox, SandboxSpec
from llmbench.sandboxes.open import open_sandbox

CORES = len(os.sched_getaffinity(0))
RUNNERS = load_runners(bundled_dir("runners"))
OPTION = "race"
WAYS = ("off", "on")
SANDBOXES = {
    "docker": SandboxSpec("docker"),
    "docker-warm": SandboxSpec("docker", reuse_containers=True),
    "bubblewrap": SandboxSpec("bubblewrap"),
}
WARM_UP = 4


@dataclass
class Result:
    """Attempts per second in one round; processor seconds per attempt, of its own and in all."""

    rate: float
    own_cpu: float
    machine_cpu: float


def submissions() -> list[Submission]:
    """The references of all problems that the race detector judges."""
    languages = {lang: runner.option_values for lang, runner in RUNNERS.items()}
    return [
        RUNNERS[problem.lang].submission(
            AttemptKey("benchmark", problem.id, 1),
            problem,
            problem.reference or "",
            3 * TEST_TIMEOUT_SECONDS,
            TEST_TIMEOUT_SECONDS,
        )
        for problem in problems.load([bundled_dir("problems")], languages)
        if problem.options.get(OPTION) == "on"
    ]


async def measure(sandbox: Sandbox, work: Sequence[Submission]) -> Result:
    """Run the work, one submission per core at once; every reference must pass."""
    waiting = iter(work)
    own: list[float] = []

    async def one_after_another() -> None:
        for submission in waiting:
            verdict = await sandbox.run(submission)
            assert verdict.outcome is Outcome.PASSED, (submission.key, verdict)
            own.append(verdict.cpu_seconds or 0.0)

    cpu, began = machine.cpu_seconds(), time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(CORES):
            tasks.start_soon(one_after_another)
    seconds = time.perf_counter() - began
    used = machine.cpu_seconds() - cpu
    return Result(len(work) / seconds, statistics.mean(own), used / len(work))


async def compare(spec: SandboxSpec, attempts: int, rounds: int) -> dict[str, Result]:
    """The medians of the rounds, by the value of the option."""
    work = submissions()
    runners = {submission.lang: RUNNERS[submission.lang] for submission in work}
    results: dict[str, list[Result]] = {way: [] for way in WAYS}
    sandbox = await open_sandbox(
        spec, runners, run_id="benchmark", own_answers=False, notify=lambda line: print(line)
    )
    try:
        for _ in range(rounds):
            for way in WAYS:
                chosen = [replace(each, options={OPTION: way}) for each in work]
                await measure(sandbox, chosen[:WARM_UP])
                results[way].append(
                    await measure(sandbox, list(islice(cycle(chosen), attempts or len(work))))
                )
    finally:
        await sandbox.aclose()
    return {
        way: Result(
            statistics.median(r.rate for r in each),
            statistics.median(r.own_cpu for r in each),
            statistics.median(r.machine_cpu for r in each),
        )
        for way, each in results.items()
    }


async def main() -> None:
    """Measure each sandbox and print its table."""
    parser = argparse.ArgumentParser(description="The cost of Go's race detector.")
    parser.add_argument("--attempts", type=int, default=0, help="in a round (default: each once)")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default: 3)")
    parser.add_argument("sandboxes", nargs="*", metavar="SANDBOX", help="default: all")
    args = parser.parse_args()
    before = machine.cpu_seconds()
    await anyio.sleep(2)
    busy = (machine.cpu_seconds() - before) / 2
    print(f"{CORES} cores, {busy:.2f} cores busy before\n")
    for name in args.sandboxes or SANDBOXES:
        off, on = (await compare(SANDBOXES[name], args.attempts, args.rounds)).values()
        print(name)
        print(f"{'':10}{'attempts/s':>12}{'CPU s each':>12}{'machine s':>12}")
        for way, r in (("race: off", off), ("race: on", on)):
            print(f"{way:10}{r.rate:12.2f}{r.own_cpu:12.3f}{r.machine_cpu:12.3f}")
        ratios = (on.rate / off.rate, on.own_cpu / off.own_cpu, on.machine_cpu / off.machine_cpu)
        print(f"{'on / off':10}{''.join(f'{ratio:12.2f}' for ratio in ratios)}\n", flush=True)


if __name__ == "__main__":
    anyio.run(main)
