"""`--until` in runs of the command line, of Python and of a sweep; Ctrl-C changes no decision.

The interval of a single problem is Wilson's. The recorded answers of demo-medium never pass: 43.5
points after 5 runs. Two of three of demo-large pass: 44.9 points after 4 runs.
"""

import json
from collections import Counter
from pathlib import Path
from signal import SIGINT

import polars as pl
import pytest
import yaml
from helpers.cli import interrupted, journaled_rows, run
from helpers.sandboxes import opened

import llmbench
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap]

ONLY = "python-async-single-flight"
FLAGS = ["--provider", "demo", "--only", ONLY, "--sandbox", "bubblewrap"]
MODELS = ["--model", "demo-large", "--model", "demo-medium"]
NEEDED = {"demo/demo-large": 4, "demo/demo-medium": 5}


@pytest.fixture(autouse=True)
async def _toolchain() -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass


def runs_of(table: pl.DataFrame) -> dict[str, int]:
    """Return the number of rows of each target, which are its runs from 1 up."""
    for _, runs in table.sort("run").group_by("target").agg("run").iter_rows():
        assert runs == list(range(1, len(runs) + 1))
    return dict(sorted(Counter(table["target"]).items()))


async def test_each_target_gets_the_runs_that_it_needs_and_the_saving_is_told(
    tmp_path: Path,
) -> None:
    ran = await run(tmp_path, *FLAGS, *MODELS, "--until", "45", "--out", "r.parquet")
    assert ran.code == 0, ran.err
    assert runs_of(pl.read_parquet(tmp_path / "r.parquet")) == NEEDED
    assert "at most 20 attempts: 2 targets × 1 problem × 10 runs, until each" in ran.err
    for line in (
        "--until 45: 11 of 20 attempts were not needed",
        "demo/demo-large is within ± 45 points after 4 of at most 10 runs",
        "demo/demo-medium is within ± 43.5 points after 5 of at most 10 runs",
    ):
        assert line in ran.out.splitlines()
    (path,) = tmp_path.glob("_work/*/run.json")
    record = json.loads(path.read_text())
    assert record["options"]["until"] == record["plan"]["until"] == 45
    assert record["plan"]["runs"] == 10
    assert record["sessions"][-1]["runs_needed"] == NEEDED
    (listed,) = json.loads((await run(tmp_path, "runs", "list", "--format", "json")).out)
    assert (listed["state"], listed["attempts"], listed["planned"]) == ("complete", 9, 9)
    more = await run(tmp_path, "--resume", "--until", "44")
    assert more.code == 0, more.err
    assert runs_of(pl.read_parquet(tmp_path / "r.parquet"))["demo/demo-large"] > 4


async def test_after_ctrl_c_a_resumed_run_makes_the_same_decisions(tmp_path: Path) -> None:
    flags = [*FLAGS, *MODELS, "--until", "45", "--max-repairs", "1", "--out", "r.parquet"]
    flags += ["--concurrency", "1", "--max-sandboxes", "1"]
    ran = await interrupted(tmp_path, *flags, rows=2, signals=[SIGINT])
    assert ran.code == 130, ran.err
    assert "the run was interrupted" in ran.err
    assert "not decided, because attempts have no result" in ran.out
    before = journaled_rows(tmp_path)
    again = await run(tmp_path, "--resume")
    assert again.code == 0, again.err
    first = pl.read_parquet(tmp_path / "r.parquet")
    repairs = pl.read_parquet(tmp_path / "r.repair.parquet")
    assert runs_of(first) == NEEDED
    assert len(repairs) == len(first.filter(~pl.col("passed")))
    assert before < journaled_rows(tmp_path) == len(first) + len(repairs)
    whole = await run(tmp_path, "--resume")
    assert whole.code == 0, whole.err
    assert "is complete: nothing remains to be done" in whole.err
    assert "--until 45: 11 of 20 attempts were not needed" in whole.out


async def test_a_run_of_python_takes_until(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = llmbench.run(
        provider="demo", model="demo-medium", only=ONLY, sandbox="bubblewrap", until=50, runs=6
    )
    assert runs_of(table) == {"demo/demo-medium": 4}


async def test_a_sweep_writes_a_target_that_needs_no_more_runs(tmp_path: Path) -> None:
    sweep = {
        "out": "nights",
        "run": {"until": 45, "runs": 8, "sandbox": "bubblewrap", "only": ONLY},
        "targets": [{"provider": "demo", "model": ["demo-medium", "demo-large"]}],
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    ran = await run(tmp_path, "sweep", "sweep.yaml", "--date", "2026-01-31")
    assert ran.code == 0, ran.err
    tables = [pl.read_parquet(path) for path in tmp_path.rglob("demo_*.parquet")]
    assert runs_of(pl.concat(tables)) == NEEDED


@pytest.mark.parametrize("points", ["0", "0.4", "51", "five", "nan"])
async def test_points_out_of_bounds_are_refused_in_one_line(tmp_path: Path, points: str) -> None:
    ran = await run(tmp_path, *FLAGS, "--until", points)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"--until: '{points}' is not a number from 0.5 to 50" in ran.err
