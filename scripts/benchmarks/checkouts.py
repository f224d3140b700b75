"""Attempts per second of two checkouts of llmbench, measured in turns.

python scripts/benchmarks/checkouts.py OTHER [--rounds N] [--sandbox KIND] [LANGUAGE…]

OTHER is the folder of an earlier checkout. Each round opens a sandbox in either checkout, tests the
reference of the small problem that `problems new` writes, one per core at once, after a few to warm
up, and prints the ratio of the two. The last line is the median of the ratios: below 1, this
checkout is slower. Images are built anew for each, which costs nothing where nothing has changed.
Run nothing else beside it.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
KINDS = ("docker", "docker-warm", "bubblewrap")
LANGUAGES = ("python", "typescript", "go")
CORES = len(os.sched_getaffinity(0))
WARM_UP = 4


def main() -> None:
    """Measure the sandboxes and languages that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path)
    parser.add_argument("languages", nargs="*", default=LANGUAGES, metavar="LANGUAGE")
    parser.add_argument("--attempts", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--sandbox", choices=KINDS, action="append")
    args = parser.parse_intermixed_args()
    if not (args.other / "llmbench" / "__init__.py").exists():
        parser.error(f"{args.other} is not a checkout of llmbench: git worktree add FOLDER COMMIT")
    if unknown := set(args.languages) - set(LANGUAGES):
        parser.error(f"unknown: {', '.join(unknown)}; languages are {', '.join(LANGUAGES)}")
    for kind in args.sandbox or KINDS:
        for lang in args.languages:
            compare(args.other.resolve(), kind, lang, args.attempts, args.rounds)
        if kind != "bubblewrap":
            build_images(HERE)  # no later run of this checkout finds those of the other


def compare(other: Path, kind: str, lang: str, attempts: int, rounds: int) -> None:
    """Print the rates and ratios of one sandbox and language."""
    ratios: list[float] = []
    for number in range(rounds):
        # Each goes first in every second round, so that a drift of the machine favours neither.
        order = (other, HERE) if number % 2 else (HERE, other)
        rates = {checkout: measured(checkout, kind, lang, attempts) for checkout in order}
        ratios.append(rates[HERE] / rates[other])
    middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
    print(
        f"{kind} {lang}: {rates[HERE]:.2f} attempts/s now, {rates[other]:.2f} in the other; "
        f"ratio {middle:.3f} (median of {rounds}, {low:.3f} to {high:.3f})",
        flush=True,
    )


def build_images(checkout: Path) -> None:
    """Build the images of a checkout, if the present ones are of another."""
    command = [sys.executable, "-m", "llmbench", "images", "build"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)


def measured(checkout: Path, kind: str, lang: str, attempts: int) -> float:
    """Return the attempts per second of one checkout, in a process of its own."""
    if kind != "bubblewrap":
        build_images(checkout)
    work = f"import anyio, checkouts; anyio.run(checkouts.work, {kind!r}, {lang!r}, {attempts})"
    path = os.pathsep.join((str(checkout), str(Path(__file__).parent)))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", work]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return float(done.stdout.split()[-1])


async def work(kind: str, lang: str, attempts: int) -> None:
    """Print the attempts per second of the llmbench that this process imports."""
    import anyio

    from llmbench import problems
    from llmbench.plan import bundled_dir
    from llmbench.records import AttemptKey, Outcome
    from llmbench.runners import AUTHORING, load_runners
    from llmbench.sandboxes.base import BaseSandbox
    from llmbench.sandboxes.docker.container import DockerSandbox
    from llmbench.sandboxes.docker.warm import WarmDockerSandbox
    from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox

    runner = load_runners(bundled_dir("runners"))[lang]
    [problem] = problems.load(
        [runner.folder / AUTHORING / "template.yaml"], {lang: runner.option_values}
    )
    submission = runner.submission(
        AttemptKey("benchmark", problem.id, 1), problem, problem.reference or "", 45.0
    )
    async with AsyncExitStack() as stack:
        sandbox: BaseSandbox
        if kind == "bubblewrap":
            sandbox = await BubblewrapSandbox.open({lang: runner}, lambda line: None)
        else:
            choice = WarmDockerSandbox if kind == "docker-warm" else DockerSandbox
            sandbox = await choice.open({lang: runner}, "benchmark")
        stack.push_async_callback(sandbox.aclose)

        async def run(count: int) -> None:
            for _ in range(count):
                verdict = await sandbox.run(submission)
                assert verdict.outcome is Outcome.PASSED, verdict.log

        await run(WARM_UP)
        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(CORES):
                tasks.start_soon(run, attempts // CORES)
        print(attempts // CORES * CORES / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
