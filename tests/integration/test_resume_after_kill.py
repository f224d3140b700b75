"""A run that is killed at any point resumes without a lost row or a repeated request."""

import ctypes
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from urllib.request import urlopen

import helpers.logging_server
import polars as pl
import pytest
from _pytest.mark import ParameterSet
from helpers.cli import command, environment, run
from helpers.sandboxes import opened
from polars.testing import assert_frame_equal

from llmbench.errors import NoSandboxError
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners
from llmbench.sandboxes.docker import client

RUNNERS = load_runners(bundled_dir("runners"))
CONCURRENCY = 4
FLAGS = [
    *("--model", "demo-large", "--model", "demo-small", "--seed", "1", "--runs", "2"),
    *("--only", "python-lru*,python-outage*", "--concurrency", str(CONCURRENCY)),
    "--no-warm-up",  # so that each request is an attempt's
    *("--out", "rows.parquet"),
]
ATTEMPTS = 2 * 2 * 2
REPAIRS = ("--max-repairs", "2")
KILL = (Signals.SIGKILL,)
INTERRUPT = (Signals.SIGINT,)
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2): orphans become children of this process

Key = tuple[str, str, int, int]
"""Model, problem, run and round."""

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Point:
    """A moment of a run: a number of seconds after it has printed a text."""

    after: str
    seconds: float


NEVER = Point("", 120.0)
ASKING = "attempts:"
"""The text that a run prints before its first request."""


@dataclass
class Sessions:
    """Checks the requests of each part of one run against the answers in its journal.

    `requests_before` is the number of requests before the next part. `lost` counts the requests
    whose answers came to no journal.
    """

    folder: Path
    requests_before: int
    lost: int = 0

    def check(self, journaled: Set[Key]) -> None:
        """Check the part that has just ended; `journaled` are the answers before it."""
        requests = requested(self.folder.parent)
        new, self.requests_before = requests[self.requests_before :], len(requests)
        assert len(new) == len(set(new)), "a part of a run sent a request twice"
        assert not journaled & set(new), "a journaled answer was requested again"
        in_flight = set(new) - set(answered(self.folder))
        assert len(in_flight) <= CONCURRENCY, "more answers were lost than were in flight"
        self.lost += len(in_flight)


@contextmanager
def adopting() -> Iterator[None]:
    """Let orphans become children of this process, and leave none of them to later tests."""
    known, libc = children(), ctypes.CDLL(None)
    assert libc.prctl(SUBREAPER, 1) == 0
    try:
        yield
    finally:
        assert libc.prctl(SUBREAPER, 0) == 0
        for pid in children() - known:
            with suppress(ProcessLookupError):
                os.kill(pid, Signals.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)  # one that was dying would be a dead child of a later test


@contextmanager
def logging_server(folder: Path) -> Iterator[str]:
    """Run a server that outlives the runs that use it; yields its address."""
    script = Path(helpers.logging_server.__file__)
    env = environment(PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    with subprocess.Popen([sys.executable, str(script), str(folder)], env=env) as server:
        try:
            until = time.monotonic() + 60
            while not (folder / "address").exists():
                assert server.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            yield (folder / "address").read_text()
        finally:
            server.kill()


def stop(folder: Path, flags: list[str], point: Point, signals: Sequence[Signals]) -> bool:
    """Run until a point and send signals; returns True if the run ended before them."""
    env = environment(TMPDIR=str(folder / "tmp"))
    with (folder / "err").open("w") as err:
        process = subprocess.Popen(
            command(*flags), cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=err
        )
        while point.after not in (folder / "err").read_text() and process.poll() is None:
            time.sleep(0.01)
        try:
            process.wait(point.seconds)
        except subprocess.TimeoutExpired:
            for number in signals:
                process.send_signal(number)
                time.sleep(0.1)
            code = process.wait(60)
            text = (folder / "err").read_text()
            assert "Traceback" not in text
            assert code in ((-Signals.SIGKILL,) if Signals.SIGKILL in signals else (0, 130)), text
            return code == 0
    assert process.returncode == 0, (folder / "err").read_text()
    return True


def orphans(known: set[int]) -> list[str]:
    """Return the orphans that still live 15 seconds after a kill, with their command lines."""
    until = time.monotonic() + 15
    while pids := children() - known:
        for pid in pids:
            os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > until:
            return [f"{pid}: {Path(f'/proc/{pid}/cmdline').read_text()!r}" for pid in pids]
        time.sleep(0.02)
    return []


def children() -> set[int]:
    """Return the ids of the child processes of this one."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def answered(folder: Path) -> Counter[Key]:
    """Count the lines of each completion in the journals."""
    keys: Counter[Key] = Counter()
    for journal in folder.glob("_work/*/journal.jsonl"):
        for line in journal.read_bytes().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # torn by the kill
            if "completion" in entry:
                target, problem_id, number, round_ = entry["key"]
                keys[target.partition("/")[2], problem_id, number, round_] += 1
    return keys


def requested(folder: Path) -> list[Key]:
    """Return the requests to the server, in their order."""
    return [tuple(json.loads(line)) for line in (folder / "requests").read_text().splitlines()]


def comparable(path: Path) -> pl.DataFrame:
    """Return a table without its timings, also those in logs, which are part of later prompts.

    How many chunks arrive, and whether they tell a speed, depends on when the client reads.
    """
    timings = pl.selectors.ends_with("_seconds", "_per_second")
    timings |= pl.selectors.by_name("chunks", "timing_source")
    # Chance decides which process is killed when memory ends, and whether its shell reports it.
    log = pl.col("log_head").str.replace_all(r"\d+\.\d+s|0x[0-9a-f]+|Killed\s*", "")
    prompt = pl.when(pl.col("round") == 1).then("prompt_tokens").alias("prompt_tokens")
    return pl.read_parquet(path).drop(timings).with_columns(log, prompt)


async def stop_and_resume(
    folder: Path,
    kind: str,
    stops: int,
    seed: int,
    signals: Sequence[Signals] = KILL,
    more: Sequence[str] = (),
) -> None:
    """Stop runs at seeded points, resume them, and compare them with an uninterrupted run."""
    async with opened(kind, RUNNERS):
        pass
    chance = random.Random(seed)
    points = [random_point(chance, signals) for _ in range(stops)]
    with adopting(), logging_server(folder) as address:
        flags = [*FLAGS, *more, "--base-url", address, "--sandbox", kind]
        plain = folder / "plain"
        plain.mkdir()
        assert (await run(plain, *flags)).code == 0
        whole = {path.name: comparable(path) for path in plain.glob("*.parquet")}
        assert len(whole["rows.parquet"]) == ATTEMPTS
        answers = sum(map(len, whole.values()))
        assert len(requested(folder)) == answers
        while points:
            here = folder / f"run-{len(points)}"
            (here / "tmp").mkdir(parents=True)
            before = len(requested(folder))
            lost = await run_to_the_end(here, flags, points, signals, address)
            assert set(answered(here).values()) == {1}
            assert len(answered(here)) == answers
            assert len(requested(folder)) - before == answers + lost
            for name, table in whole.items():
                assert_frame_equal(comparable(here / name), table)
            await check_clean(here)


async def run_to_the_end(
    here: Path, flags: list[str], points: list[Point], signals: Sequence[Signals], address: str
) -> int:
    """Take points from the list, stop the run there and resume it, until it has ended.

    A point that the run did not reach is replaced in the list by an earlier one. Returns the
    number of answers that were requested and lost.
    """
    sessions, known, ended = Sessions(here, len(requested(here.parent))), children(), False
    while not ended:
        journaled = set(answered(here))
        started = any(here.glob("_work/*/run.json"))
        point = points.pop() if points else NEVER
        ended = stop(here, ["--resume"] if started else flags, point, signals)
        if ended and point is not NEVER:
            points.append(Point(point.after, 0.7 * point.seconds))
        assert orphans(known) == []
        await_requests(address)
        sessions.check(journaled)
        if Signals.SIGKILL not in signals:
            await check_clean(here)
    assert sessions.lost == 0 or signals != INTERRUPT, "Ctrl-C lost an answer in flight"
    return sessions.lost


def await_requests(address: str) -> None:
    """Wait until the server has read all requests so far, by one more request."""
    urlopen(f"{address}/models").close()


def random_point(chance: random.Random, signals: Sequence[Signals]) -> Point:
    """Return a random moment of a run; one kill in four comes while the run starts.

    Ctrl-C comes only once the run has printed its plan: before, Python itself handles the signal.
    """
    if signals == KILL and chance.random() < 0.25:
        return Point("", chance.uniform(0.2, 2.0))
    return Point(ASKING, chance.uniform(0.0, 3.0))


async def check_clean(here: Path) -> None:
    """Check that the run has removed its temporary files and containers."""
    assert list(here.rglob("*.tmp")) == []
    assert list((here / "tmp").iterdir()) == []
    assert await containers(here) == []


async def containers(folder: Path) -> list[str]:
    """Return the containers of the runs in this folder; none without an engine."""
    try:
        _, docker = await client.connect()
    except NoSandboxError:
        return []
    try:
        return [
            container.id
            for run in folder.glob("_work/*")
            for container in await client.list_containers(docker, client.RUN_LABEL, run.name)
        ]
    finally:
        await client.close_client(docker)


def slow_seeds(seeds: int) -> list[ParameterSet]:
    """Return parameters of 25 kills for each seed, each a slow test of its own."""
    return [pytest.param(25, seed, marks=pytest.mark.slow) for seed in range(1, seeds + 1)]


@pytest.mark.bubblewrap
@pytest.mark.parametrize(("stops", "seed"), [(7, 0), *slow_seeds(4)])
async def test_killed_runs_resume_to_the_same_table(tmp_path: Path, stops: int, seed: int) -> None:
    await stop_and_resume(tmp_path, "bubblewrap", stops, seed)


@pytest.mark.bubblewrap
@pytest.mark.parametrize(
    ("stops", "seed", "signals"),
    [
        (5, 0, KILL),
        (3, 0, INTERRUPT),
        *(pytest.param(*p.values, KILL, marks=p.marks) for p in slow_seeds(4)),
    ],
)
async def test_stopped_runs_with_repairs_resume_in_their_round(
    tmp_path: Path, stops: int, seed: int, signals: Sequence[Signals]
) -> None:
    await stop_and_resume(tmp_path, "bubblewrap", stops, seed, signals, REPAIRS)


@pytest.mark.docker
@pytest.mark.parametrize(("stops", "seed"), [(5, 0), *slow_seeds(2)])
async def test_killed_runs_leave_no_container_once_they_are_resumed(
    tmp_path: Path, stops: int, seed: int
) -> None:
    await stop_and_resume(tmp_path, "docker", stops, seed)


@pytest.mark.parametrize(
    ("kind", "signals"),
    [
        pytest.param("bubblewrap", INTERRUPT, marks=pytest.mark.bubblewrap),
        pytest.param("bubblewrap", INTERRUPT * 2, marks=pytest.mark.bubblewrap),
        pytest.param("docker", INTERRUPT * 2, marks=pytest.mark.docker),
    ],
)
async def test_ctrl_c_at_any_moment_loses_no_answer(
    tmp_path: Path, kind: str, signals: Sequence[Signals]
) -> None:
    await stop_and_resume(tmp_path, kind, 5, 0, signals)


@pytest.mark.bubblewrap
async def test_a_resumed_run_does_only_missing_or_changed_attempts(tmp_path: Path) -> None:
    async with opened("bubblewrap", RUNNERS):
        pass
    source = (bundled_dir("problems") / "python.yaml").read_text()
    file = tmp_path / "p.yaml"
    file.write_text(source)
    only = ["--problems", "p.yaml", "--only", "python-lru*", "--model", "demo-large", "--seed", "1"]
    with logging_server(tmp_path) as address:
        flags = [*only, "--base-url", address, "--sandbox", "bubblewrap", "--runs", "1"]
        flags += ["--no-warm-up"]  # so that each request is an attempt's

        async def requests_of(*words: str) -> tuple[int, str]:
            before = len(requested(tmp_path))
            ran = await run(tmp_path, *words)
            assert ran.code == 0, ran.err
            return len(requested(tmp_path)) - before, ran.err

        assert (await requests_of(*flags))[0] == 1
        number, err = await requests_of("--resume")
        assert number == 0
        assert "is complete: nothing remains to be done" in err
        assert (await requests_of("--resume", "--runs", "2"))[0] == 1
        file.write_text(source.replace("test_solution.py: |\n", "test_solution.py: |\n      # x\n"))
        number, err = await requests_of("--resume")
        assert number == 0
        assert "problem python-lru-ttl-cache has changed: 2 attempts are graded again" in err
        assert "2 answers are graded without asking again, 0 are asked" in err
        number, err = await requests_of("--resume", "--temperature", "0.5")
        assert number == 2
        assert "temperature was None, is 0.5: 2 attempts are asked again" in err
        number, _ = await requests_of(*flags, "--cache", "--out", "cached.parquet")
        assert number == 0
    (row,) = pl.read_parquet(tmp_path / "cached.parquet").to_dicts()
    assert row["from_cache"]
    assert row["llm_seconds"] is row["ttft_seconds"] is row["queue_seconds"] is None
    record = json.loads(pl.read_parquet_metadata(tmp_path / "cached.parquet")["llmbench"])
    assert record["sessions"][-1]["end"]


async def test_resume_without_an_earlier_run_is_an_error(tmp_path: Path) -> None:
    ran = await run(tmp_path, "--resume")
    assert (ran.code, ran.err) == (2, "llmbench: --resume: no run in _work\n")
