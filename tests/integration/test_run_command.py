"""Whole runs with streamed answers and real sandboxes: tables, Ctrl-C, kill -9."""

import json
import re
import signal
from collections import Counter
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import aiodocker
import anyio
import polars as pl
import pytest
from helpers import manual
from helpers.cli import environment, interrupted, journaled_rows, run, serving
from helpers.sandboxes import CONFINED, opened
from rich.console import Console

from llmbench.plan import bundled_dir
from llmbench.records import Outcome
from llmbench.reports.summary import summary
from llmbench.runners import load_runners
from llmbench.sandboxes.docker.client import RUN_LABEL
from llmbench.store import tables

pytestmark = pytest.mark.anyio

RUNNERS = load_runners(bundled_dir("runners"))
ONE_OF_EACH = "go-lru-cache,python-lru-ttl-cache,typescript-order-reducer"


async def containers(folder: Path) -> list[str]:
    """Return the containers of the run in this folder."""
    (work,) = folder.glob("_work/*")
    async with opened("docker", RUNNERS):  # opening removes the containers of dead runs
        docker = aiodocker.Docker()
        filters = json.dumps({"label": [f"{RUN_LABEL}={work.name}"]})
        listed = await docker.containers.list(all="true", filters=filters)
        await docker.close()
    return [container["Id"] for container in listed]


@pytest.mark.docker
async def test_a_demo_run_in_three_languages_has_every_outcome(tmp_path: Path) -> None:
    async with opened("docker", RUNNERS):
        pass
    files = ["--out", "r.csv", "--out", "r.parquet"]
    ran = await run(tmp_path, "--provider", "demo", "--runs", "3", "--concurrency", "8", *files)
    assert ran.code == 0, ran.err
    rows = pl.read_parquet(tmp_path / "r.parquet")
    assert rows.equals(tables.read(tmp_path / "r.csv"), null_equal=True)
    assert len(rows) == rows.select("target", "problem_id", "run").n_unique() == 3 * 13 * 3
    assert set(rows["outcome"]) == {o.value for o in Outcome if not o.is_infrastructure}
    assert rows["lang"].unique().sort().to_list() == ["go", "python", "typescript"]
    assert rows["replayed"].all()
    assert set(rows["sandbox"].drop_nulls()) == {"docker"}
    assert "no model was asked" in ran.out
    for outcome in Outcome:
        assert (outcome.value in ran.out) != outcome.is_infrastructure
    assert await containers(tmp_path) == []
    documented = manual.block("docs/getting-started.md", "text", "Recorded answers")
    assert figures(documented.splitlines()) == figures(summary_lines(rows))


def figures(lines: Iterable[str]) -> list[str]:
    """Return the lines without blanks; of the leaderboard without its speeds, which vary."""
    return [re.sub(r"(\d+/\d+) .*", r"\1", line.strip()) for line in lines if line.strip()]


def summary_lines(rows: pl.DataFrame) -> list[str]:
    """Return the lines of a summary."""
    console = Console(file=StringIO(), width=100, highlight=False, markup=False)
    for part in summary(rows, 100):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("kind", CONFINED)
async def test_a_right_answer_passes_in_every_language_and_sandbox(
    tmp_path: Path, kind: str
) -> None:
    async with opened(kind, RUNNERS):
        pass
    engine, _, warm = kind.partition("-")
    flags = ["--only", ONE_OF_EACH, "--runs", "2", "--sandbox", engine, "--out", "r.parquet"]
    flags += ["--reuse-containers"] if warm else []
    async with serving(tmp_path, "org/right:free") as server:
        ran = await run(tmp_path, "--base-url", server.base_url, *flags)
    assert ran.code == 0, ran.err
    assert "asking org/right:free, the one chat model" in ran.err
    rows = pl.read_parquet(tmp_path / "r.parquet")
    assert rows["outcome"].to_list() == ["passed"] * 6
    assert rows["sandbox"].to_list() == [kind] * 6
    assert rows["extraction"].to_list() == ["fence"] * 6
    assert not rows["replayed"].any()
    assert rows["ttft_seconds"].null_count() == rows["completion_tokens"].null_count() == 0
    for name in ("answer.md", "log.txt", "solution.*"):
        assert len(list(tmp_path.glob(f"_work/*/lmstudio_org_right_free~*/*/*/{name}"))) == 6


@pytest.mark.bubblewrap
async def test_a_key_is_in_no_output_and_no_file(tmp_path: Path) -> None:
    key = "sk-or-v1-0123456789abcdef"
    async with opened("bubblewrap", RUNNERS):
        pass
    flags = ["--only", "go-lru-cache", "--runs", "1", "--sandbox", "bubblewrap"]
    flags += ["--out", "r.parquet", "--out", "r.csv"]
    async with serving(tmp_path, "right") as server:
        there = ["--provider", "openrouter", "--base-url", server.base_url]
        env = environment(OPENROUTER_API_KEY=key)
        good = await run(tmp_path, *there, "--model", "right", *flags, env=env)
        again = await run(tmp_path, "--resume", "--runs", "2", env=env)
        texts = [str(pl.read_parquet(tmp_path / "r.parquet").to_dicts())]
        texts += pl.read_parquet_metadata(tmp_path / "r.parquet").values()
        bad = await run(tmp_path, *there, "--model", "wrong", *flags, env=env)
    assert (good.code, again.code, bad.code) == (0, 0, 1)
    assert "does not exist" in bad.err
    texts += [text for ran in (good, again, bad) for text in (ran.out, ran.err)]
    texts += [p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file()]
    assert {"journal.jsonl", "run.json", "r.csv"} <= {p.name for p in tmp_path.rglob("*")}
    assert not [text for text in texts if key in text or key[6:] in text]


@pytest.mark.bubblewrap
async def test_an_unknown_model_stops_its_target_and_no_other(tmp_path: Path) -> None:
    async with opened("bubblewrap", RUNNERS):
        pass
    flags = ["--only", "go-lru-cache", "--runs", "3", "--sandbox", "bubblewrap"]
    async with serving(tmp_path, "right") as server:
        models = ["--model", "gone", "--model", "right"]
        ran = await run(tmp_path, "--base-url", server.base_url, *models, *flags)
    assert ran.code == 1
    assert "stopped lmstudio/gone" in ran.err
    assert "2 of 6 attempts have no row: not asked after lmstudio/gone stopped" in ran.err
    rows = pl.read_csv(next(tmp_path.glob("_work/*/results.csv")), schema=tables.SCHEMA)
    assert Counter(rows["outcome"]) == {"passed": 3, "provider_error": 1}
    assert "not the models' failure" in ran.out
    assert "to ask again for attempts without a score: llmbench --resume" in ran.out


@pytest.mark.docker
@pytest.mark.parametrize(
    "signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]], ids=str
)
async def test_ctrl_c_writes_the_finished_rows_and_removes_all_containers(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    async with opened("docker", RUNNERS):
        pass
    flags = ["--provider", "demo", "--runs", "2", "--concurrency", "1", "--out", "r.parquet"]
    ran = await interrupted(tmp_path, *flags, rows=3, signals=signals)
    assert ran.code == 130, ran.err
    assert "nothing new is started" in ran.err
    assert "attempts have no row: the run was interrupted" in ran.err
    assert "Traceback" not in ran.err
    rows = pl.read_parquet(tmp_path / "r.parquet")
    assert 3 <= len(rows) == journaled_rows(tmp_path) < 3 * 13 * 2
    assert rows["outcome"].is_in([o.value for o in Outcome if o.is_infrastructure]).sum() == 0
    completions = sum('"completion":' in line for line in _lines(tmp_path))
    assert completions == len(rows) if len(signals) == 1 else completions >= len(rows)
    assert await containers(tmp_path) == []


@pytest.mark.docker
async def test_the_next_start_removes_the_containers_of_a_killed_run(tmp_path: Path) -> None:
    async with opened("docker", RUNNERS):
        pass
    flags = ["--provider", "demo", "--runs", "20"]
    ran = await interrupted(tmp_path, *flags, rows=2, signals=[signal.SIGKILL])
    assert ran.code == -signal.SIGKILL
    assert all(json.loads(line) for line in _lines(tmp_path)[:2])
    with anyio.fail_after(20):
        while await containers(tmp_path):  # the engine may still be removing them
            await anyio.sleep(0.2)


def _lines(folder: Path) -> list[str]:
    (journal,) = folder.glob("_work/*/journal.jsonl")
    return journal.read_text().splitlines()
