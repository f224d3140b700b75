"""Measures how much the tests of answers slow down a model on the same machine.

python scripts/benchmarks/grading_load.py SERVERS [--rounds N] [--runs N] [--threads N]
    [--sandbox KIND]

SERVERS is the folder that `.ci/servers` fills. llama.cpp serves a small model, on all cores unless
told otherwise, which answers a problem correctly after some reasoning. In each round the same
answers are requested in three ways, in an order drawn at random: `alone` without any test, in
`turns` as a run does it, and `together` with the tests (`--no-alternate`). The speed is the
server's own (`decode_tokens_per_second`).
"""

import argparse
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import anyio
import polars as pl

from llmbench import problems, prompts
from llmbench.models.protocols import open_model
from llmbench.models.providers import PROVIDERS
from llmbench.models.server import connect
from llmbench.plan import bundled_dir
from llmbench.records import Problem, Sampling, Target
from llmbench.runners import load_runners

PROBLEM = "python-lru-ttl-cache"
FILES = Path(__file__).resolve().parents[2] / "tests/servers"
THOUGHTS = 500
"""Characters of reasoning before the answer: the more, the larger the model."""

PORT_SECONDS = 120.0


RUNNERS = load_runners(bundled_dir("runners"))


def the_problem() -> Problem:
    """Return the problem that is asked."""
    languages = {lang: runner.option_values for lang, runner in RUNNERS.items()}
    (problem,) = (p for p in problems.load([bundled_dir("problems")], languages) if p.id == PROBLEM)
    return problem


def answer() -> str:
    """Return a long train of thought and a correct answer."""
    draws = random.Random(1)
    words = " ".join(f"{draws.randrange(10**6):06}" for _ in range(THOUGHTS // 7))
    return f"<think>\n{words}\n</think>\n\n```python\n{the_problem().reference}```\n"


@contextmanager
def llamacpp(servers: Path, folder: Path, threads: int) -> Iterator[str]:
    """Serve the model and yield the server's address."""
    python = servers / "llamacpp/bin/python"
    (folder / "answer.md").write_text(answer(), encoding="utf-8")
    make = [str(python), str(FILES / "tiny_model.py"), "model.gguf", "answer.md"]
    subprocess.run(make, cwd=folder, check=True)
    print(f"model of {(folder / 'model.gguf').stat().st_size / 2**20:.0f} MB")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    serve = [str(python), str(FILES / "serve_llamacpp.py"), "model.gguf", str(port), str(threads)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(serve, cwd=folder, stdout=quiet, stderr=quiet) as server:
        try:
            end = time.monotonic() + PORT_SECONDS
            while time.monotonic() < end and server.poll() is None:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill()


def alone(url: str, runs: int) -> list[float]:
    """Return the speed of each answer to the prompt of a run, while nothing else is done."""
    problem = the_problem()
    prompt = prompts.messages(problem, RUNNERS[problem.lang].config.instructions)

    async def ask_all() -> list[float | None]:
        async with connect(PROVIDERS["llamacpp"], url) as server:
            model = open_model(Target("llamacpp", "tiny", url, Sampling(4096)), server)
            slot = anyio.Semaphore(1)
            answers = [await model.complete(prompt, run=1, slot=slot) for _ in range(runs)]
            return [answer.decode_tokens_per_second for answer in answers]

    return [speed for speed in anyio.run(ask_all) if speed is not None]


def by_run(url: str, runs: int, sandbox: str, *flags: str) -> list[float]:
    """Return the speed of each answer of a run of llmbench."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "llmbench", "--provider", "llamacpp", "--base-url", url,
                   "--only", PROBLEM, "--runs", str(runs), "--sandbox", sandbox, "--quiet",
                   "--out", "rows.parquet", *flags]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        rows = pl.read_parquet(Path(folder, "rows.parquet"))
    assert set(rows["outcome"]) == {"passed"}, rows["log_head"]
    return rows["decode_tokens_per_second"].drop_nulls().to_list()


def main() -> None:
    """Print the median speed of each way, and the ratios of the rounds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--sandbox", default="bubblewrap")
    args = parser.parse_args()
    draws = random.Random(1)
    speeds: dict[str, list[float]] = {"alone": [], "turns": [], "together": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        llamacpp(args.servers, Path(folder), args.threads) as url,
    ):
        ways: dict[str, Callable[[], list[float]]] = {
            "alone": lambda: alone(url, args.runs),
            "turns": lambda: by_run(url, args.runs, args.sandbox),
            "together": lambda: by_run(url, args.runs, args.sandbox, "--no-alternate"),
        }
        for _ in range(args.rounds):
            for name in draws.sample(list(ways), len(ways)):
                speeds[name].append(median(ways[name]()))
                print(f"{name:8} {speeds[name][-1]:8.1f} tokens/s", flush=True)
    for name, values in speeds.items():
        ratios = sorted(v / a for v, a in zip(values, speeds["alone"], strict=True))
        print(
            f"{name:8} median {median(values):8.1f} tokens/s, over alone: median "
            f"{median(ratios):.3f}, from {ratios[0]:.3f} to {ratios[-1]:.3f}"
        )


if __name__ == "__main__":
    main()
