"""What a page of many attempts takes: time to write it, its size, and time until it answers.

python scripts/benchmarks/report.py [ATTEMPTS] [--with CHROMIUM]

Attempts, answers, code and logs are made up and differ; all else is real: result file, journal,
work folder, the command and, with --with, a browser, in which the page answers when its list is
there and its first plot is drawn. Seconds are by the clock and of processor time, which a busy
machine does not change: of the command, and of the browser's main thread.
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
from llmbench.records import Attempt, Completion, Outcome, Problem, Sampling, Target, Usage, Verdict
from llmbench.runners import Runner, load_runners
from llmbench.store import tables
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.run_dir import RunDirectory

MODELS, RUNS = 4, 5


def main() -> None:
    """Make a result, write its page, open it."""
    made = argparse.ArgumentParser()
    made.add_argument("attempts", type=int, nargs="?", default=10_000)
    made.add_argument("--with", dest="browser")
    given = made.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, given.attempts)
        start = time.perf_counter()
        command = [sys.executable, "-m", "llmbench", "report", "r.parquet"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        page = folder / "report.html"
        clock = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = page.stat().st_size / 1e6
        print(f"{given.attempts} attempts, {size:.1f} MB: {clock:.1f} s to write,", end=" ")
        print(f"{used.ru_utime + used.ru_stime:.1f} s processor, {used.ru_maxrss / 1024:.0f} MiB")
        if given.browser:
            clock, processor = opened(page, given.browser)
            print(f"it answers after {clock:.2f} s, {processor:.2f} s processor")


def fill(folder: Path, wanted: int) -> None:
    """A result file, and the work folder behind it."""
    work, rows = RunDirectory(folder / "_work"), []
    runners = load_runners(plan.bundled_dir("runners"))
    with Journal(work.path) as journal:
        for attempt in asked(runners, wanted):
            draws = random.Random(repr(attempt.key))
            code = varied(str(attempt.problem.reference), draws)
            answer = Completion(
                f"Here is what I would write.\n\n```{attempt.problem.lang}\n{code}\n```\n",
                usage=Usage(300, len(code) // 4),
                cost_usd=draws.random() / 100,
                llm_seconds=1 + draws.expovariate(0.2),
                ttft_seconds=draws.random(),
            )
            passed = draws.random() < draws.choice([0.1, 0.6, 0.9])
            log = "".join(f"test_{i} took {draws.random()} s\n" for i in range(20))
            outcome = Outcome.PASSED if passed else Outcome.FAILED
            verdict = Verdict(outcome, int(not passed), 3 * passed, 3, 0.4, 0.3, log)
            row = make_row(attempt, answer, verdict, extraction="fence")
            journal.append(CompletionEntry(attempt.key, answer))
            journal.append(ResultEntry(row))
            name = runners[attempt.problem.lang].config.solution
            work.keep(attempt, {"answer.md": answer.text, name: code, "log.txt": log})
            rows.append(row)
    tables.write(tables.to_frame(rows), folder / "r.parquet")


def asked(runners: dict[str, Runner], wanted: int) -> Iterator[Attempt]:
    """So many attempts at variants of the shipped problems."""
    languages = {lang: runner.option_values for lang, runner in runners.items()}
    shipped = problems.load([plan.bundled_dir("problems")], languages)
    for number in range(wanted):
        rest, run = divmod(number, RUNS)
        variant, model = divmod(rest, MODELS)
        copy, which = divmod(variant, len(shipped))
        problem: Problem = replace(shipped[which], id=f"{shipped[which].id}-{copy}")
        target = Target("bench", f"model-{model}", "http://localhost", Sampling())
        yield Attempt(target, problem, run + 1)


def varied(code: str, draws: random.Random) -> str:
    """The code with its lines in another order: as long, and nothing that compresses away."""
    lines = [f"{line}  # {draws.getrandbits(32):x}" for line in code.splitlines()]
    draws.shuffle(lines)
    return "\n".join(lines)


def opened(page: Path, browser: str) -> tuple[float, float]:
    """Seconds until the page answers: by the clock, and of its main thread's processor time."""
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
        clock = time.perf_counter() - start
        told = session.send("Performance.getMetrics")["metrics"]
        chromium.close()
    return clock, {each["name"]: each["value"] for each in told}["TaskDuration"]


if __name__ == "__main__":
    main()
