"""The same problems and recorded answers through llmbench and through Inspect AI, side by side.

python scripts/benchmarks/peers.py [--runs N] [--langs L,L] [--at-once N …]

Both ask the same server on loopback, which replays recorded answers as fast as it can, and run the
same tests in the same images on the same engine under the same limits of memory, processors,
processes and files, without a network. Inspect AI (https://inspect.aisi.org.uk) is installed from
PyPI into an environment of its own, and runs at each of several concurrencies: the best counts.
Its task, `peers_inspect.py` beside this file, places all files and runs the tests in one call of
its sandbox, which is the least that it can do. It needs a Docker engine of at least 24.0.6.

Processor seconds are those of the whole machine, since an engine's work is spread over many
processes: nothing else should run beside it. Memory is the peak of what the tool's own processes
hold (PSS), sampled; the engine's and the containers' is not in it. Start-up counts.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import machine
import polars as pl

from llmbench import __version__, problems, prompts
from llmbench.demo import server as recorded
from llmbench.plan import TEST_TIMEOUT_SECONDS, bundled_dir
from llmbench.records import Problem
from llmbench.runners import Runner, load_runners

PEER = "inspect-ai==0.3.285"
TASK = Path(__file__).with_name("peers_inspect.py")
MODEL = "demo-large"
STREAMS = 16
SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Result:
    """What one tool did: attempts, how many passed, and what it took."""

    name: str
    attempts: int
    passed: int
    seconds: float
    cpu: float
    memory_mib: float

    @property
    def rate(self) -> float:
        """Attempts per second."""
        return self.attempts / self.seconds


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def memory_mib(pid: int) -> float:
    """What a process and all below it hold, each shared page counted once."""
    total = 0
    for each in tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def measured(command: Sequence[str | Path], env: Mapping[str, str]) -> tuple[float, float, float]:
    """Run to the end: seconds by the clock, processor seconds of the machine, peak memory."""
    cpu, began, peak = machine.cpu_seconds(), time.perf_counter(), 0.0
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, env=env, stdout=said, stderr=said) as process:
            while process.poll() is None:
                peak = max(peak, memory_mib(process.pid))
                time.sleep(SAMPLE_SECONDS)
        seconds, cpu = time.perf_counter() - began, machine.cpu_seconds() - cpu
        if process.returncode:
            said.seek(0)
            sys.stderr.buffer.write(said.read())
            raise SystemExit(f"{command[0]} ended with exit {process.returncode}")
    return seconds, cpu, peak


def by_llmbench(url: str, folder: Path, given: argparse.Namespace, *flags: str) -> Result:
    """A run as people start it; its concurrency of tests is its default, the cores."""
    out = folder / f"{secrets.token_hex(4)}.parquet"
    command = [sys.executable, "-m", "llmbench", "--provider", "openai-compatible"]
    command += ["--base-url", url, "--model", MODEL, "--runs", str(given.runs), "--seed", "1"]
    command += ["--concurrency", str(STREAMS), "--sandbox", "docker", "--quiet", *flags]
    command += ["--only", ",".join(given.ids), "--out", str(out)]
    # A work folder of its own, beside its results.
    os.chdir(folder)
    took = measured(command, dict(os.environ))
    rows = pl.read_parquet(out)
    return Result(" ".join(["llmbench", *flags]), len(rows), int(rows["passed"].sum()), *took)


def compose(runner: Runner) -> dict[str, Any]:
    """The container of a language for Inspect AI, with the limits that llmbench sets."""
    limits = runner.limits
    scratch = f"exec,mode=1777,size={limits.work_mb}m"
    service = {
        "image": runner.config.image,
        "entrypoint": ["tail", "-f", "/dev/null"],
        "init": True,
        "network_mode": "none",
        "read_only": True,
        "user": "10001",
        "working_dir": "/work",
        "tmpfs": [f"/work:{scratch}", f"/tmp:{scratch}"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": f"{limits.memory_mb}m",
        "memswap_limit": f"{limits.memory_mb}m",
        "cpus": limits.cpus,
        "pids_limit": limits.pids,
        "ulimits": {
            "fsize": limits.file_mb * 2**20,
            "nofile": limits.open_files,
            "core": 0,
        },
    }
    return {"services": {"default": service}}


def samples(
    chosen: Sequence[Problem], runners: Mapping[str, Runner], folder: Path
) -> list[dict[str, Any]]:
    """The problems as Inspect AI's samples, with the messages that llmbench sends."""
    made = []
    for lang in {problem.lang for problem in chosen}:
        (folder / f"{lang}.json").write_text(json.dumps(compose(runners[lang])))
    for problem in chosen:
        runner = runners[problem.lang]
        asked = prompts.messages(problem, runner.config.instructions)
        made.append(
            {
                "id": problem.id,
                "messages": [message._asdict() for message in asked],
                "files": {**runner.config.generated_files, **problem.files, **problem.tests},
                "solution": runner.config.solution,
                "environment": runner.environment(problem.options),
                "compose": str(folder / f"{problem.lang}.json"),
                "timeout": TEST_TIMEOUT_SECONDS,
            }
        )
    return made


def peer_environment() -> Path:
    """The interpreter of an environment that has the peer, made when missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "llmbench" / "peers" / PEER
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        print(f"installing {PEER}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PEER, "openai"], check=True)
        (folder / "done").touch()
    return python


def by_peer(url: str, folder: Path, given: argparse.Namespace, at_once: int) -> Result:
    """The peer with so many samples, and so many sandboxes, at once."""
    env = dict(os.environ) | {"DEMO_BASE_URL": url, "DEMO_API_KEY": "none"}
    out = folder / "peer.json"
    options = {
        "model": MODEL,
        "runs": given.runs,
        "at_once": at_once,
        "streams": STREAMS,
        "logs": str(folder / "logs"),
        "out": str(out),
    }
    told = json.dumps(options)
    took = measured([peer_environment(), TASK, folder / "samples.json", told], env)
    result = json.loads(out.read_text())
    return Result(f"Inspect AI, {at_once} at once", result["attempts"], result["passed"], *took)


def measure(url: str, given: argparse.Namespace) -> list[Result]:
    """Each tool once, the peer at each concurrency."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = samples(given.chosen, given.runners, folder)
        (folder / "samples.json").write_text(json.dumps(made))
        results = [by_llmbench(url, folder, given), by_llmbench(url, folder, given, "--warm")]
        return results + [by_peer(url, folder, given, n) for n in given.at_once]


def options() -> argparse.Namespace:
    """The flags, and the problems that have recorded answers."""
    parser = argparse.ArgumentParser(description="llmbench and Inspect AI, side by side.")
    parser.add_argument("--runs", type=int, default=3, help="of each problem (default: 3)")
    parser.add_argument("--langs", default="", help="only these languages (default: all)")
    parser.add_argument(
        "--at-once", type=int, nargs="+", default=[2, 4, 8], help="the peer's (default: 2 4 8)"
    )
    given = parser.parse_args()
    given.runners = load_runners(bundled_dir("runners"))
    values = {lang: runner.option_values for lang, runner in given.runners.items()}
    given.problems = problems.load([bundled_dir("problems")], values)
    answers = recorded.load_recordings(recorded.RECORDINGS, given.problems)[MODEL].answers
    langs = [lang for lang in given.langs.split(",") if lang]
    given.chosen = [p for p in given.problems if p.id in answers and (not langs or p.lang in langs)]
    given.ids = [problem.id for problem in given.chosen]
    return given


async def main() -> None:
    """Measure and print the table."""
    given = options()
    peer_environment()
    told = await anyio.run_process(["docker", "version", "--format", "{{.Server.Version}}"])
    cores = len(os.sched_getaffinity(0))
    async with recorded.serve(given.chosen, pace=0) as server:
        results = await anyio.to_thread.run_sync(measure, server.base_url, given)
    first = results[0]
    best = max(results[2:], key=lambda r: r.rate)
    print(
        f"llmbench {__version__}, {PEER}, engine {told.stdout.decode().strip()}, {cores} cores; "
        f"{first.attempts} attempts at {len(given.chosen)} problems\n"
    )
    print(f"{'':28}{'attempts/s':>11}{'CPU s each':>11}{'peak MiB':>10}{'passed':>8}{'ratio':>7}")
    for result in results:
        mark = " *" if result is best else ""
        print(
            f"{result.name + mark:28}{result.rate:11.2f}{result.cpu / result.attempts:11.2f}"
            f"{result.memory_mib:10.0f}{result.passed:8}{result.rate / best.rate:7.2f}"
        )
    print("\n* the peer's best, which the ratios are to")


if __name__ == "__main__":
    anyio.run(main)
