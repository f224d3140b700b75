"""Compares llmbench and Inspect AI on the same problems and recorded answers.

python scripts/benchmarks/peers.py [--runs N] [--langs L,L] [--at-once N …]

Both send their requests to the same server on loopback, which replays recorded answers as fast as
it can. Both run the same tests in the same images on the same engine, without a network. Limits of
memory, processors, processes and files are the same too.

Inspect AI (https://inspect.aisi.org.uk) is installed from PyPI into an environment of its own. It
runs at each of several concurrencies, and the best result counts. Its task is `peers_inspect.py`
beside this file. The task places all files and runs the tests in one call of its sandbox, which is
the least that it can do. It needs a Docker engine of version 24.0.6 or newer, and
Docker Compose.

Processor seconds are those of the whole machine, because an engine's work is spread over many
processes. So nothing else should run at the same time. Memory is the sampled peak of the memory
(PSS) of the tool's own processes, without the engine and the containers. Start-up counts.
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
    """One tool's attempts, passed attempts, seconds, processor seconds and peak memory."""

    name: str
    attempts: int
    passed: int
    seconds: float
    cpu: float
    memory_mib: float

    @property
    def rate(self) -> float:
        """Return the attempts per second."""
        return self.attempts / self.seconds


def process_tree(pid: int) -> Iterator[int]:
    """Yield the ids of a process and all its descendants."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from process_tree(int(child))


def memory_mib(pid: int) -> float:
    """Return the memory of a process and its descendants; shared pages count once."""
    total = 0
    for each in process_tree(pid):
        with suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def measure(command: Sequence[str | Path], env: Mapping[str, str]) -> tuple[float, float, float]:
    """Run a command to its end.

    Returns:
        Seconds by the clock, processor seconds of the machine, and peak memory in MiB.
    """
    cpu, began, peak = machine.cpu_seconds(), time.perf_counter(), 0.0
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(command, env=env, stdout=output, stderr=output) as process:
            while process.poll() is None:
                peak = max(peak, memory_mib(process.pid))
                time.sleep(SAMPLE_SECONDS)
        seconds, cpu = time.perf_counter() - began, machine.cpu_seconds() - cpu
        if process.returncode:
            output.seek(0)
            sys.stderr.buffer.write(output.read())
            raise SystemExit(f"{command[0]} ended with exit {process.returncode}")
    return seconds, cpu, peak


def run_llmbench(url: str, folder: Path, args: argparse.Namespace, *flags: str) -> Result:
    """Measure a usual run; it runs as many tests at once as there are cores."""
    out = folder / f"{secrets.token_hex(4)}.parquet"
    command = [sys.executable, "-m", "llmbench", "--provider", "openai-compatible"]
    command += ["--base-url", url, "--model", MODEL, "--runs", str(args.runs), "--seed", "1"]
    command += ["--concurrency", str(STREAMS), "--sandbox", "docker", "--quiet", *flags]
    command += ["--only", ",".join(args.ids), "--out", str(out)]
    # The work folder is then beside the results.
    os.chdir(folder)
    usage = measure(command, dict(os.environ))
    rows = pl.read_parquet(out)
    return Result(" ".join(["llmbench", *flags]), len(rows), int(rows["passed"].sum()), *usage)


def compose(runner: Runner) -> dict[str, Any]:
    """Return a language's container for Inspect AI, with the limits that llmbench sets."""
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
    selected: Sequence[Problem], runners: Mapping[str, Runner], folder: Path
) -> list[dict[str, Any]]:
    """Return the problems as samples for Inspect AI, with the messages that llmbench sends."""
    result = []
    for lang in {problem.lang for problem in selected}:
        (folder / f"{lang}.json").write_text(json.dumps(compose(runners[lang])))
    for problem in selected:
        runner = runners[problem.lang]
        messages = prompts.messages(problem, runner.config.instructions)
        result.append(
            {
                "id": problem.id,
                "messages": [message._asdict() for message in messages],
                "files": {**runner.config.generated_files, **problem.files, **problem.tests},
                "solution": runner.config.solution,
                "environment": runner.environment(problem.options),
                "compose": str(folder / f"{problem.lang}.json"),
                "timeout": TEST_TIMEOUT_SECONDS,
            }
        )
    return result


def peer_environment() -> Path:
    """Return the interpreter of an environment that has Inspect AI; make it if missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "llmbench" / "peers" / PEER
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        print(f"installing {PEER}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PEER, "openai"], check=True)
        (folder / "done").touch()
    return python


def run_peer(url: str, folder: Path, args: argparse.Namespace, at_once: int) -> Result:
    """Measure Inspect AI with `at_once` samples, and as many sandboxes, at once."""
    env = dict(os.environ) | {"DEMO_BASE_URL": url, "DEMO_API_KEY": "none"}
    out = folder / "peer.json"
    options = {
        "model": MODEL,
        "runs": args.runs,
        "at_once": at_once,
        "streams": STREAMS,
        "logs": str(folder / "logs"),
        "out": str(out),
    }
    command: list[str | Path] = [
        peer_environment(),
        TASK,
        folder / "samples.json",
        json.dumps(options),
    ]
    usage = measure(command, env)
    result = json.loads(out.read_text())
    return Result(f"Inspect AI, {at_once} at once", result["attempts"], result["passed"], *usage)


def run_all(url: str, args: argparse.Namespace) -> list[Result]:
    """Measure llmbench in both modes, and Inspect AI at each concurrency."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = json.dumps(samples(args.selected, args.runners, folder))
        (folder / "samples.json").write_text(text)
        results = [
            run_llmbench(url, folder, args),
            run_llmbench(url, folder, args, "--reuse-containers"),
        ]
        return results + [run_peer(url, folder, args, n) for n in args.at_once]


def options() -> argparse.Namespace:
    """Parse the flags and select the problems that have recorded answers."""
    parser = argparse.ArgumentParser(description="llmbench and Inspect AI, side by side.")
    parser.add_argument("--runs", type=int, default=3, help="runs of each problem (default: 3)")
    parser.add_argument("--langs", default="", help="only these languages (default: all)")
    parser.add_argument(
        "--at-once",
        type=int,
        nargs="+",
        default=[2, 4, 8],
        help="samples at once of Inspect AI (default: 2 4 8)",
    )
    args = parser.parse_args()
    args.runners = load_runners(bundled_dir("runners"))
    values = {lang: runner.option_values for lang, runner in args.runners.items()}
    args.problems = problems.load([bundled_dir("problems")], values)
    answers = recorded.load_recordings(recorded.RECORDINGS, args.problems)[MODEL].answers
    langs = [lang for lang in args.langs.split(",") if lang]
    args.selected = [p for p in args.problems if p.id in answers and (not langs or p.lang in langs)]
    args.ids = [problem.id for problem in args.selected]
    return args


async def main() -> None:
    """Measure and print the table."""
    args = options()
    peer_environment()
    engine = await anyio.run_process(["docker", "version", "--format", "{{.Server.Version}}"])
    cores = len(os.sched_getaffinity(0))
    async with recorded.serve(args.selected, pace=0) as server:
        results = await anyio.to_thread.run_sync(run_all, server.base_url, args)
    first = results[0]
    best = max(results[2:], key=lambda r: r.rate)
    print(
        f"llmbench {__version__}, {PEER}, engine {engine.stdout.decode().strip()}, {cores} cores; "
        f"{first.attempts} attempts at {len(args.selected)} problems\n"
    )
    print(f"{'':28}{'attempts/s':>11}{'CPU s each':>11}{'peak MiB':>10}{'passed':>8}{'ratio':>7}")
    for result in results:
        mark = " *" if result is best else ""
        print(
            f"{result.name + mark:28}{result.rate:11.2f}{result.cpu / result.attempts:11.2f}"
            f"{result.memory_mib:10.0f}{result.passed:8}{result.rate / best.rate:7.2f}"
        )
    print("\n* the best of Inspect AI; ratios are relative to it")


if __name__ == "__main__":
    anyio.run(main)
