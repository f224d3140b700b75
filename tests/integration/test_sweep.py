"""Sweeps: files, and steps that remain."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
import yaml
from helpers import manual
from helpers.cli import Ran, command, environment, interrupted, run
from helpers.sandboxes import opened

from llmbench.cli.options.sweep import SweepOptions
from llmbench.cli.sweep import steps_of
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners
from llmbench.store import tables

pytestmark = pytest.mark.anyio

SWEEP = {
    "out": "nights",
    "run": {"runs": 1, "sandbox": "bubblewrap"},
    "targets": [{"provider": "demo", "model": ["demo-large", "demo-small"]}],
    "sets": {
        "lru": {"only": "python-lru-ttl-cache"},
        "warm": {"only": ["python-lru-*"], "temperature": 0.5},
    },
}


def write(folder: Path, **changes: object) -> None:
    (folder / "sweep.yaml").write_text(yaml.safe_dump({**SWEEP, **changes}))


@pytest.mark.bubblewrap
async def test_a_sweep_writes_a_dated_file_per_set_and_target_and_repeats_no_step(
    tmp_path: Path,
) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    write(tmp_path)
    ran = await run(tmp_path, "sweep", "sweep.yaml", "--date", "2026-01-31")
    assert ran.code == 0, ran.err
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.parquet"))
    assert files == [
        Path(f"nights/{set_}/2026-01-31/demo_demo-{size}.parquet")
        for set_ in ("lru", "warm") for size in ("large", "small")
    ]  # fmt: skip
    for path in files:
        rows = pl.read_parquet(tmp_path / path)
        assert rows.schema == tables.SCHEMA
        assert rows["temperature"].to_list() == [0.5 if "warm" in path.parts else None]
    (tmp_path / files[1]).unlink()
    again = await run(tmp_path, "sweep", "sweep.yaml", "--date", "2026-01-31")
    assert again.code == 0, again.err
    assert "step 2 of 2: warm, demo: demo-large, demo-small: done already" in again.err
    assert "1 attempt: 1 target ×" in again.err
    assert "is complete: nothing remains to be done" in again.err
    assert pl.read_parquet_metadata(tmp_path / files[1])["llmbench"]
    assert (tmp_path / files[1]).exists()
    assert len(list(tmp_path.glob("_work/*"))) == 2


@pytest.mark.bubblewrap
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT], ids=str)
async def test_a_stopped_sweep_resumes_in_its_step(tmp_path: Path, ending: signal.Signals) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    write(tmp_path, run={"runs": 6, "sandbox": "bubblewrap", "concurrency": 1})
    sweep = ["sweep", "sweep.yaml", "--date", "2026-01-31"]
    ran = await interrupted(tmp_path, *sweep, rows=3, signals=[ending])
    assert ran.code == (130 if ending == signal.SIGINT else -ending)
    assert not list(tmp_path.rglob("warm/*/*.parquet"))
    again = await run(tmp_path, *sweep)
    assert again.code == 0, again.err
    assert "resuming" in again.err
    assert len(list(tmp_path.rglob("*.parquet"))) == 4
    journals = list(tmp_path.glob("_work/*/journal.jsonl"))
    assert len(journals) == 2
    for path in journals:
        kinds = [next(iter(json.loads(line))) for line in path.read_text().splitlines() if line]
        assert kinds.count("key") in range(12, 14), (
            "more answers were requested again than were in flight"
        )
        assert kinds.count("row") == 12


@pytest.mark.bubblewrap
async def test_ctrl_c_during_the_summary_of_a_step_ends_the_sweep_after_that_step(
    tmp_path: Path,
) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    write(tmp_path)
    ran = interrupted_during_the_summary(tmp_path, "sweep", "sweep.yaml", "--date", "2026-01-31")
    assert ran.code == 130, ran.err
    assert "step 2 of 2" not in ran.err
    files = sorted(path.name for path in tmp_path.glob("nights/lru/2026-01-31/*"))
    assert files == ["demo_demo-large.parquet", "demo_demo-small.parquet"]
    assert len(list(tmp_path.glob("_work/*"))) == 1


def interrupted_during_the_summary(folder: Path, *flags: str) -> Ran:
    """Run until the first tables are written and the summary waits for a reader; then Ctrl-C."""
    read, full = os.pipe()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while True:
            os.write(full, bytes(65536))
    os.set_blocking(full, True)
    with (
        (folder / "err").open("w") as err,
        subprocess.Popen(
            command(*flags), cwd=folder, env=environment(), stdout=full, stderr=err
        ) as process,
        os.fdopen(read, "rb") as out,
    ):
        os.close(full)
        until = time.monotonic() + 60
        while not list(folder.glob("_work/*/results.csv")):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        text = out.read().decode()
    return Ran(process.returncode, text, (folder / "err").read_text())


async def test_a_failed_step_is_reported_without_a_file_and_the_next_step_runs(
    tmp_path: Path,
) -> None:
    away = {"provider": "vllm", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    write(tmp_path, targets=[away, {**away, "model": "n"}])
    ran = await run(tmp_path, "sweep", "sweep.yaml", "--quiet")
    assert ran.code == 1
    assert ran.err.count("cannot reach http://127.0.0.1:9/v1") == 4
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_sweep_file_of_the_manual_is_valid(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(manual.block("docs/nightly.md", "yaml", "# sweep.yaml\n"))
    steps = list(
        steps_of(SweepOptions(file=tmp_path / "sweep.yaml", date="2026-01-31", quiet=True))
    )
    assert [(step.folder.parent.name, len(step.options.model)) for step in steps] == [
        ("all", 1), ("all", 2), ("cold", 1), ("cold", 2),
    ]  # fmt: skip
    assert {step.options.runs for step in steps} == {3}
    assert [step.options.max_cost for step in steps] == [None, 5, None, 5]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out": None}, "sweep.yaml: out: name the folder"),
        ({"targets": []}, "sweep.yaml: targets: give a list"),
        ({"targets": ["m"]}, "sweep.yaml: targets, number 1: is not a mapping"),
        ({"target": []}, "sweep.yaml: target: unknown field (known: out, run, targets, sets)"),
        ({"sets": {"../x": {}}}, "sets: '../x' cannot name a folder"),
        ({"run": {"runs": 0}}, "sets.lru with targets, number 1: runs: 0 is not"),
        ({"run": {"modle": "x"}}, "modle: no such option"),
        ({"run": {"out": "x.csv"}}, "out is set by the sweep; leave it out"),
    ],
)
async def test_a_wrong_sweep_file_is_refused_in_one_line_before_any_run(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    write(tmp_path, **changes)
    ran = await run(tmp_path, "sweep", "sweep.yaml")
    assert ran.code == 2
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]
