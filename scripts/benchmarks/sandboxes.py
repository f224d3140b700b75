"""Attempts per second of each way to run tests, with their ratios.

python scripts/benchmarks/sandboxes.py [--attempts N] [--rounds N] [--only SET] [LANGUAGE…]

Each way runs reference solutions, one per core at once, in turns. The raw engine runs at the best
of several concurrencies. The medians of the rounds are printed, after a few attempts to warm up.

There are two sets of problems. The tests of the shipped problems compute and sleep. Those of the
small problem that `problems new` writes take almost no time, and show the cost of the way itself.
Processor seconds are those of the whole machine per attempt, since the work of an engine is spread
over many processes: run nothing else beside the benchmark.

- raw engine: create, start, wait, remove by the engine's API; same image, limits, files and tests
- docker run: the same by Docker's command line
- fresh: llmbench --sandbox docker
- warm: llmbench --sandbox docker --reuse-containers
- bubblewrap: llmbench --sandbox bubblewrap
- bare process: the language's usual command in a running container, without limits
"""

import argparse
import base64
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle, islice, product

import aiodocker
import anyio
import machine

from llmbench import problems
from llmbench.plan import TEST_TIMEOUT_SECONDS, bundled_dir
from llmbench.records import AttemptKey, Outcome, Submission
from llmbench.runners import AUTHORING, Runner, load_runners
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.docker.container import DockerSandbox
from llmbench.sandboxes.docker.endpoints import find_endpoints
from llmbench.sandboxes.docker.warm import WarmDockerSandbox
from llmbench.sandboxes.launch import Launch, pack
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox

CORES = len(os.sched_getaffinity(0))
RUNNERS = load_runners(bundled_dir("runners"))
OPTIONS = {lang: runner.option_values for lang, runner in RUNNERS.items()}
PROBLEMS = {
    "shipped problems": problems.load([bundled_dir("problems")], OPTIONS),
    "small problem": [
        problem
        for runner in RUNNERS.values()
        for problem in problems.load([runner.folder / AUTHORING / "template.yaml"], OPTIONS)
    ],
}
# The preparation of each language, and its command. Go has a filled build cache, which needs the
# flags it was filled with. TypeScript has no usual command: this is its runner without the report
# and the canary.
BARE = {
    "python": ("", "python -m pytest -q -o asyncio_mode=auto"),
    "typescript": (
        "export HOME=/tmp",
        "ln -s /opt/runner/node_modules . && "
        """echo '{"extends": "/opt/runner/tsconfig.json"}' >tsconfig.json && """
        "/opt/runner/tsc -p . --strict true && "
        "if grep -q vitest *.test.ts; then node node_modules/vitest/vitest.mjs run .test.js; "
        "else node --import /opt/runner/resolve.mjs --test *.test.js; fi",
    ),
    "go": (
        ". /opt/runner/env.sh; export HOME=/tmp GOCACHE=/tmp/cache; "
        "cp -r /opt/runner/go-build /tmp/cache; date +%s >/tmp/cache/trim.txt",
        "go test -vet=off -gcflags=all=-dwarf=false .",
    ),
}
WARM_UP = 4
Way = Callable[[Submission], Awaitable[None]]


@dataclass
class Result:
    """Attempts per second of one way in one round, and processor seconds per attempt."""

    rate: float
    cpu: float


def submissions(kind: str, lang: str) -> Iterator[Submission]:
    """The references of a set of problems in a language, repeated for ever."""
    for problem in cycle([p for p in PROBLEMS[kind] if p.lang == lang]):
        key = AttemptKey("benchmark", problem.id, 1)
        code = problem.reference or ""
        yield RUNNERS[lang].submission(key, problem, code, TEST_TIMEOUT_SECONDS)


async def measure(way: Way, work: list[Submission], at_once: int) -> Result:
    """Run the work with `at_once` submissions in parallel."""
    waiting = iter(work)

    async def one_after_another() -> None:
        for submission in waiting:
            await way(submission)

    cpu, began = machine.cpu_seconds(), time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(one_after_another)
    seconds = time.perf_counter() - began
    return Result(len(work) / seconds, (machine.cpu_seconds() - cpu) / len(work))


def in_sandbox(sandbox: Sandbox) -> Way:
    """A way through llmbench itself; every reference must pass."""

    async def run(submission: Submission) -> None:
        verdict = await sandbox.run(submission)
        assert verdict.outcome is Outcome.PASSED, verdict

    return run


def script(submission: Submission) -> str:
    """A shell command that places the files and runs the tests."""
    launch = Launch(submission)
    archive = base64.b64encode(pack(submission.files)).decode()
    return (
        f"echo {archive} | base64 -d | tar -xof - && "
        f"printf '%s\\n' {launch.canary} | sh /opt/runner/run.sh >/tmp/report 2>&1"
    )


def raw_engine(engine: aiodocker.Docker, sandbox: DockerSandbox, runner: Runner) -> Way:
    """The four API calls of a container."""

    async def run(submission: Submission) -> None:
        config = sandbox.config(runner, ["sh", "-c", script(submission)], submission.options)
        config |= {"OpenStdin": False, "StdinOnce": False, "User": "10001:10001"}
        container = await engine.containers.create(config)
        await container.start()
        assert (await container.wait())["StatusCode"] == 0
        await container.delete(force=True)

    return run


def docker_run(runner: Runner) -> Way:
    """The command line of Docker."""
    limits = runner.limits
    flags = ["--rm", "--init", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    flags += ["--security-opt", "no-new-privileges", "--pids-limit", str(limits.pids)]
    flags += ["--memory", f"{limits.memory_mb}m", "--cpus", str(limits.cpus)]
    for folder in ("/work", "/tmp"):
        flags += ["--tmpfs", f"{folder}:exec,mode=1777,uid=10001"]

    async def run(submission: Submission) -> None:
        command = ["docker", "run", *flags, "--entrypoint", "sh", runner.config.image, "-c"]
        await anyio.run_process([*command, script(submission)])

    return run


async def bare(lang: str, work: list[Submission]) -> Result:
    """The language's usual command, in one container a core, each with its share of the work."""
    image, containers = RUNNERS[lang].config.image, []
    for number in range(CORES):
        lines = [BARE[lang][0]]
        for submission in work[number::CORES]:
            archive = base64.b64encode(pack(submission.files)).decode()
            lines.append(f"cd $(mktemp -d) && echo {archive} | base64 -d | tar -xof -")
            lines.append(f"({BARE[lang][1]}) >/tmp/log 2>&1 || {{ cat /tmp/log; exit 1; }}")
        command = ["docker", "run", "--rm", "-i", "--network", "none", "--entrypoint", "sh", image]
        containers.append((command, "set -e\n" + "\n".join(lines)))

    async def run(command: list[str], text: str) -> None:
        await anyio.run_process([*command, "-s"], input=text.encode(), stderr=None)

    cpu, began = machine.cpu_seconds(), time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for command, text in containers:
            tasks.start_soon(run, command, text)
    seconds = time.perf_counter() - began
    return Result(len(work) / seconds, (machine.cpu_seconds() - cpu) / len(work))


async def compare(lang: str, work: list[Submission], rounds: int) -> dict[str, Result]:
    """The medians of the rounds, by way."""
    runner = RUNNERS[lang]
    runners = {lang: runner}
    by_way: dict[str, list[Result]] = {}
    async with AsyncExitStack() as stack:
        fresh = await DockerSandbox.open(runners, "benchmark")
        warm = await WarmDockerSandbox.open(runners, "benchmark-warm")
        confined = await BubblewrapSandbox.open(runners, print)
        for sandbox in (fresh, warm, confined):
            stack.push_async_callback(sandbox.aclose)
        engine = await stack.enter_async_context(aiodocker.Docker(find_endpoints()[0].url))
        raw = raw_engine(engine, fresh, runner)
        ways = {
            "docker run": docker_run(runner),
            "fresh": in_sandbox(fresh),
            "warm": in_sandbox(warm),
            "bubblewrap": in_sandbox(confined),
        }
        for _ in range(rounds):
            concurrencies = (CORES, CORES + 1, 2 * CORES)
            results = [await measure(raw, work, n) for n in concurrencies]
            by_way.setdefault("raw engine", []).append(max(results, key=lambda r: r.rate))
            for name, way in ways.items():
                await measure(way, work[:WARM_UP], CORES)
                by_way.setdefault(name, []).append(await measure(way, work, CORES))
            by_way.setdefault("bare process", []).append(await bare(lang, work))
    return {
        name: Result(
            statistics.median(r.rate for r in results), statistics.median(r.cpu for r in results)
        )
        for name, results in by_way.items()
    }


def options() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description="Attempts per second of every way to run tests.")
    parser.add_argument(
        "--attempts", type=int, default=24, help="attempts in each round (default: 24)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (default: 3)")
    parser.add_argument("--only", choices=PROBLEMS, help="set of problems (default: both)")
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help="default: all")
    return parser.parse_args()


async def main() -> None:
    """Measure each language and print its table."""
    args = options()
    version = await anyio.run_process(["docker", "version", "--format", "{{.Server.Version}}"])
    engine = version.stdout.decode().strip()
    before = machine.cpu_seconds()
    await anyio.sleep(2)
    busy = (machine.cpu_seconds() - before) / 2
    print(f"{CORES} cores, engine {engine}, {busy:.2f} cores busy before\n")
    for lang, kind in product(args.languages or RUNNERS, [args.only] if args.only else PROBLEMS):
        work = list(islice(submissions(kind, lang), args.attempts))
        results = await compare(lang, work, args.rounds)
        base = results["fresh"].rate
        print(f"{RUNNERS[lang].config.title}, {kind}")
        print(f"{'':14}{'attempts/s':>12}{'CPU s each':>12}{'× fresh':>10}")
        for name, result in results.items():
            ratio = result.rate / base
            print(f"{name:14}{result.rate:12.2f}{result.cpu:12.3f}{ratio:10.2f}")
        print(flush=True)


if __name__ == "__main__":
    anyio.run(main)
