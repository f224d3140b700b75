"""Measures a page of many attempts: time to write it, its size, and time until it responds.

Usage: python scripts/benchmarks/report.py [ATTEMPTS] [--with CHROMIUM].

Attempts, answers, code and logs are synthetic and differ from each other. Result file, journal,
work folder and command are real, and so is the browser of --with. A page responds when its list is
there and its first plot is drawn. Both wall time and processor time are printed, because a busy
machine changes only the former. They are of the command, and of the browser's main thread.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from llmbench import plan, problems
from llmbench.attempt import make_row
from llmbench.completions import Completion, Usage
from llmbench.records import Attempt, Outcome, Problem, Sampling, Target, Verdict
from llmbench.runners import Runner, load_runners
from llmbench.store import tables
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.run_dir import RunDirectory

MODELS, RUNS = 4, 5


def main() -> None:
    """Write a result and its page, and open the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("attempts", type=int, nargs="?", default=10_000)
    parser.add_argument("--with", dest="browser")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_result(folder, args.attempts)
        start = time.perf_counter()
        command = [sys.executable, "-m", "llmbench", "report", "r.parquet"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        page = folder / "report.html"
        wall = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = page.stat().st_size / 1e6
        print(f"{args.attempts} attempts, {size:.1f} MB: {wall:.1f} s to write,", end=" ")
        print(f"{used.ru_utime + used.ru_stime:.1f} s processor, {used.ru_maxrss / 1024:.0f} MiB")
        if args.browser:
            wall, processor = time_page(page, args.browser)
            print(f"it responds after {wall:.2f} s, {processor:.2f} s processor")


def write_result(folder: Path, count: int) -> None:
    """Write a result file of so many attempts, and its work folder."""
    work, rows = RunDirectory(folder / "_work"), []
    runners = load_runners(plan.bundled_dir("runners"))
    with Journal(work.path) as journal:
        for attempt in attempts(runners, count):
            rng = random.Random(repr(attempt.key))
            code = shuffled(str(attempt.problem.reference), rng)
            answer = Completion(
                f"Here is what I would write.\n\n```{attempt.problem.lang}\n{code}\n```\n",
                usage=Usage(300, len(code) // 4),
                cost_usd=rng.random() / 100,
                llm_seconds=1 + rng.expovariate(0.2),
                ttft_seconds=rng.random(),
            )
            passed = rng.random() < rng.choice([0.1, 0.6, 0.9])
            log = "".join(f"test_{i} took {rng.random()} s\n" for i in range(20))
            outcome = Outcome.PASSED if passed else Outcome.FAILED
            verdict = Verdict(outcome, int(not passed), 3 * passed, 3, 0.4, 0.3, log)
            row = make_row(attempt, answer, verdict, extraction="fence")
            journal.append(CompletionEntry(attempt.key, answer))
            journal.append(ResultEntry(row))
            name = runners[attempt.problem.lang].config.solution
            work.keep(attempt, {"answer.md": answer.text, name: code, "log.txt": log})
            rows.append(row)
    tables.write(tables.to_frame(rows), folder / "r.parquet")


def attempts(runners: dict[str, Runner], count: int) -> Iterator[Attempt]:
    """Yield so many attempts at variants of the shipped problems."""
    languages = {lang: runner.option_values for lang, runner in runners.items()}
    shipped = problems.load([plan.bundled_dir("problems")], languages)
    for number in range(count):
        rest, run = divmod(number, RUNS)
        variant, model = divmod(rest, MODELS)
        copy, index = divmod(variant, len(shipped))
        problem: Problem = replace(shipped[index], id=f"{shipped[index].id}-{copy}")
        target = Target("bench", f"model-{model}", "http://localhost", Sampling())
        yield Attempt(target, problem, run + 1)


def shuffled(code: str, rng: random.Random) -> str:
    """Return the code with its lines shuffled and marked, so that it does not compress away."""
    lines = [f"{line}  # {rng.getrandbits(32):x}" for line in code.splitlines()]
    rng.shuffle(lines)
    return "\n".join(lines)


def time_page(page: Path, browser: str) -> tuple[float, float]:
    """Return wall and processor seconds until the page responds; the latter of its main thread."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        view = chromium.new_page(viewport={"width": 1360, "height": 900})
        session = view.context.new_cdp_session(view)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        start = time.perf_counter()
        view.goto(page.as_uri(), wait_until="commit")
        view.wait_for_selector("html[data-ready]")
        view.wait_for_selector("[data-drawn]")
        wall = time.perf_counter() - start
        metrics = session.send("Performance.getMetrics")["metrics"]
        chromium.close()
    return wall, {each["name"]: each["value"] for each in metrics}["TaskDuration"]


if __name__ == "__main__":
    main()
