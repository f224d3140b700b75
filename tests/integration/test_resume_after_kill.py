"""Killed at any point, a run goes on: nothing is lost, nothing is asked twice."""

import ctypes
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
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
    *("--model", "demo-large", "--model", "demo-small", "--seed", "1", "--runs", "3"),
    *("--only", "python-lru*,python-outage*", "--concurrency", str(CONCURRENCY)),
    "--no-warm-up",  # so that each request is an attempt's
    *("--out", "rows.parquet"),
]
ATTEMPTS = 2 * 3 * 2
REPAIR = ("--repair", "2")
KILL = (Signals.SIGKILL,)
INTERRUPT = (Signals.SIGINT,)
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2): orphans become ours, and can be seen

Key = tuple[str, str, int, int]
"""Model, problem, run and round."""

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Point:
    """When a run is stopped: so many seconds after it has said something."""

    after: str
    seconds: float


NEVER = Point("", 120.0)
ASKING = "attempts:"
"""What a run says before it asks."""


@dataclass
class Sessions:
    """What the parts of one run asked, held against what each had and left behind."""

    folder: Path
    asked_before: int
    lost: int = 0

    def check(self, had: Set[Key]) -> None:
        """Nothing was asked twice by the last part, nor what was bought before; few were lost."""
        requests = asked(self.folder.parent)
        new, self.asked_before = requests[self.asked_before :], len(requests)
        assert len(new) == len(set(new)), "a part of a run asked something twice"
        assert not had & set(new), "a journaled answer was asked again"
        in_flight = set(new) - set(bought(self.folder))
        assert len(in_flight) <= CONCURRENCY, "more was lost than was in flight"
        self.lost += len(in_flight)


@contextmanager
def logging_server(folder: Path) -> Iterator[str]:
    """The address of a server that outlives what asks it."""
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


def stopped(folder: Path, flags: list[str], point: Point, signals: Sequence[Signals]) -> bool:
    """Run until a point and send signals; True when it had ended by itself."""
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
            said = (folder / "err").read_text()
            assert "Traceback" not in said
            assert code in ((-Signals.SIGKILL,) if Signals.SIGKILL in signals else (0, 130)), said
            return code == 0
    assert process.returncode == 0, (folder / "err").read_text()
    return True


def orphans(known: set[int]) -> list[str]:
    """Processes that fell to us and still live, after the time that a killed one may take."""
    until = time.monotonic() + 15
    while left := children() - known:
        for pid in left:
            os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > until:
            return [f"{pid}: {Path(f'/proc/{pid}/cmdline').read_text()!r}" for pid in left]
        time.sleep(0.02)
    return []


def children() -> set[int]:
    """Our child processes."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def bought(folder: Path) -> Counter[Key]:
    """How often each completion is in the journals."""
    found: Counter[Key] = Counter()
    for journal in folder.glob("_work/*/journal.jsonl"):
        for line in journal.read_bytes().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # torn by the kill
            if "completion" in entry:
                target, problem_id, number, round_ = entry["key"]
                found[target.partition("/")[2], problem_id, number, round_] += 1
    return found


def asked(folder: Path) -> list[Key]:
    """What the server was asked, in order."""
    return [tuple(json.loads(line)) for line in (folder / "requests").read_text().splitlines()]


def comparable(path: Path) -> pl.DataFrame:
    """A table without its timings, also those in logs, which are part of later prompts."""
    timings = pl.selectors.ends_with("_seconds") | pl.selectors.by_name("tokens_per_second")
    # Which process goes first when memory ends is chance, and whether a shell is left to tell.
    log = pl.col("log_head").str.replace_all(r"\d+\.\d+s|0x[0-9a-f]+|Killed\s*", "")
    prompt = pl.when(pl.col("round") == 1).then("prompt_tokens").alias("prompt_tokens")
    return pl.read_parquet(path).drop(timings).with_columns(log, prompt)


async def torture(
    folder: Path,
    kind: str,
    points: int,
    seed: int,
    signals: Sequence[Signals] = KILL,
    more: Sequence[str] = (),
) -> None:
    """Stop runs at so many seeded points and hold each against an uninterrupted one."""
    async with opened(kind, RUNNERS):
        pass
    assert ctypes.CDLL(None).prctl(SUBREAPER, 1) == 0
    chance = random.Random(seed)
    left = [point_of(chance, signals) for _ in range(points)]
    with logging_server(folder) as address:
        flags = [*FLAGS, *more, "--base-url", address, "--sandbox", kind]
        plain = folder / "plain"
        plain.mkdir()
        assert (await run(plain, *flags)).code == 0
        whole = {path.name: comparable(path) for path in plain.glob("*.parquet")}
        assert len(whole["rows.parquet"]) == ATTEMPTS
        answers = sum(map(len, whole.values()))
        assert len(asked(folder)) == answers
        while left:
            here = folder / f"run-{len(left)}"
            (here / "tmp").mkdir(parents=True)
            before = len(asked(folder))
            lost = await one_run(here, flags, left, signals, address)
            assert set(bought(here).values()) == {1}
            assert len(bought(here)) == answers
            assert len(asked(folder)) - before == answers + lost
            for name, table in whole.items():
                assert_frame_equal(comparable(here / name), table)
            await check_clean(here)


async def one_run(
    here: Path, flags: list[str], left: list[Point], signals: Sequence[Signals], address: str
) -> int:
    """One run to its end, stopped at the points that are left as often as it comes to them.

    Returns how many answers were asked for and lost.
    """
    sessions, known, ended = Sessions(here, len(asked(here.parent))), children(), False
    while not ended:
        had = set(bought(here))
        started = any(here.glob("_work/*/run.json"))
        point = left.pop() if left else NEVER
        ended = stopped(here, ["--resume"] if started else flags, point, signals)
        if ended and point is not NEVER:  # it was not come to: try an earlier one
            left.append(Point(point.after, 0.7 * point.seconds))
        assert orphans(known) == []
        settle(address)
        sessions.check(had)
        if Signals.SIGKILL not in signals:
            await check_clean(here)
    assert sessions.lost == 0 or signals != INTERRUPT, "what is in flight is to be finished"
    return sessions.lost


def settle(address: str) -> None:
    """Have the server come to all that was sent to it so far."""
    urlopen(f"{address}/models").close()


def point_of(chance: random.Random, signals: Sequence[Signals]) -> Point:
    """A point within a run; one kill in four comes while it starts.

    Ctrl-C comes only once it asks: the interpreter's own start is not ours to handle.
    """
    if signals == KILL and chance.random() < 0.25:
        return Point("", chance.uniform(0.2, 2.0))
    return Point(ASKING, chance.uniform(0.0, 3.0))


async def check_clean(here: Path) -> None:
    """Nothing is left but what is kept."""
    assert list(here.rglob("*.tmp")) == []
    assert list((here / "tmp").iterdir()) == []
    assert await containers(here) == []


async def containers(folder: Path) -> list[str]:
    """Containers of the runs that worked in this folder, where an engine answers."""
    try:
        _, docker = await client.connect()
    except NoSandboxError:
        return []
    try:
        return [
            found.id
            for run in folder.glob("_work/*")
            for found in await client.list_containers(docker, client.RUN_LABEL, run.name)
        ]
    finally:
        await client.close_client(docker)


def many(seeds: int) -> list[ParameterSet]:
    """25 kills for each seed, in pieces that can be run one by one."""
    return [pytest.param(25, seed, marks=pytest.mark.slow) for seed in range(1, seeds + 1)]


@pytest.mark.bubblewrap
@pytest.mark.parametrize(("points", "seed"), [(7, 0), *many(4)])
async def test_killed_runs_go_on_to_the_same_table(tmp_path: Path, points: int, seed: int) -> None:
    await torture(tmp_path, "bubblewrap", points, seed)


@pytest.mark.bubblewrap
@pytest.mark.parametrize(
    ("points", "seed", "signals"),
    [
        (5, 0, KILL),
        (3, 0, INTERRUPT),
        *(pytest.param(*p.values, KILL, marks=p.marks) for p in many(4)),
    ],
)
async def test_runs_with_repairs_that_are_stopped_go_on_in_their_round(
    tmp_path: Path, points: int, seed: int, signals: Sequence[Signals]
) -> None:
    await torture(tmp_path, "bubblewrap", points, seed, signals, REPAIR)


@pytest.mark.docker
@pytest.mark.parametrize(("points", "seed"), [(5, 0), *many(2)])
async def test_killed_runs_leave_no_container_when_they_go_on(
    tmp_path: Path, points: int, seed: int
) -> None:
    await torture(tmp_path, "docker", points, seed)


@pytest.mark.parametrize(
    ("kind", "signals"),
    [
        pytest.param("bubblewrap", INTERRUPT, marks=pytest.mark.bubblewrap),
        pytest.param("bubblewrap", INTERRUPT * 2, marks=pytest.mark.bubblewrap),
        pytest.param("docker", INTERRUPT * 2, marks=pytest.mark.docker),
    ],
)
async def test_ctrl_c_at_any_moment_loses_nothing(
    tmp_path: Path, kind: str, signals: Sequence[Signals]
) -> None:
    await torture(tmp_path, kind, 5, 0, signals)


@pytest.mark.bubblewrap
async def test_only_what_is_missing_or_changed_is_done(tmp_path: Path) -> None:
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
            before = len(asked(tmp_path))
            ran = await run(tmp_path, *words)
            assert ran.code == 0, ran.err
            return len(asked(tmp_path)) - before, ran.err

        assert (await requests_of(*flags))[0] == 1
        number, told = await requests_of("--resume")
        assert number == 0
        assert "is complete: nothing remains to be done" in told
        assert (await requests_of("--resume", "--runs", "2"))[0] == 1
        file.write_text(source.replace("test_solution.py: |\n", "test_solution.py: |\n      # x\n"))
        number, told = await requests_of("--resume")
        assert number == 0
        assert "problem python-lru-ttl-cache has changed: 2 attempts are graded again" in told
        assert "2 answers are graded without asking again, 0 are asked" in told
        number, told = await requests_of("--resume", "--temperature", "0.5")
        assert number == 2
        assert "temperature was None, is 0.5: 2 attempts are asked again" in told
        number, _ = await requests_of(*flags, "--cache", "--out", "cached.parquet")
        assert number == 0
    (row,) = pl.read_parquet(tmp_path / "cached.parquet").to_dicts()
    assert row["cached"]
    assert row["llm_seconds"] is row["ttft_seconds"] is row["queue_seconds"] is None
    record = json.loads(pl.read_parquet_metadata(tmp_path / "cached.parquet")["llmbench"])
    assert record["sessions"][-1]["end"]


async def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    ran = await run(tmp_path, "--resume")
    assert (ran.code, ran.err) == (2, "llmbench: --resume: no run in _work\n")
