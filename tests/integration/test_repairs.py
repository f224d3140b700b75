"""Repairs in runs, tables and commands; after Ctrl-C no repair begins."""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from signal import SIGINT

import polars as pl
import pytest
import yaml
from helpers.cli import command, environment, interrupted, journaled_rows, run
from helpers.sandboxes import opened

import llmbench
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners
from llmbench.store import tables

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap]

FLAGS = ["--provider", "demo", "--only", "python-async-*", "--sandbox", "bubblewrap"]
MODELS = ["--model", "demo-large", "--model", "demo-medium"]
PASSING_ROUNDS = {  # of the recorded answer to each run; 0 if no round passes
    "demo/demo-large": [1, 1, 2],
    "demo/demo-medium": [0, 0, 2],
}
CUT = 3
"""Run of demo-medium whose first answer is cut at the token limit."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with one repair: `r.csv`, `r.parquet`, and its output in `out`."""
    folder = tmp_path_factory.mktemp("ended")
    files = ["--out", "r.csv", "--out", "r.parquet"]
    with (folder / "out").open("w") as out:
        words = command(*FLAGS, *MODELS, *files, "--max-repairs", "1")
        subprocess.run(words, cwd=folder, env=environment(), stdout=out, check=True)
    return folder


@pytest.fixture
async def done(ended: Path, tmp_path: Path) -> Path:
    """A copy of that folder, for tests that change it."""
    shutil.copytree(ended, tmp_path, dirs_exist_ok=True)
    return tmp_path


async def test_first_answers_and_repairs_have_tables_of_their_own(done: Path) -> None:
    first, repairs = pl.read_parquet(done / "r.parquet"), pl.read_parquet(done / "r.repair.parquet")
    for table, name in ((first, "r.csv"), (repairs, "r.repair.csv")):
        assert table.equals(tables.read(done / name), null_equal=True)
    assert set(first["round"]) == {1}
    for target, rounds in PASSING_ROUNDS.items():
        passed = first.filter(target=target).sort("run")["passed"].to_list()
        assert passed == [number == 1 for number in rounds]
        repaired = repairs.filter(target=target).sort("run")
        assert repaired["run"].to_list() == [run for run, n in enumerate(rounds, 1) if n != 1]
        assert repaired["passed"].to_list() == [n == 2 for n in rounds if n != 1]
    assert set(repairs["round"]) == {2}
    assert repairs["replayed"].all()
    assert (repairs["prompt_tokens"] > first["prompt_tokens"].max()).all()
    out = (done / "out").read_text()
    assert "no model was asked" in out
    by_round = out.partition("by round:")[2]
    for words in ("66.7%", "100.0%", " 0.0%", "33.3%", "rows: r.csv", "rows: r.repair.csv"):
        assert words in by_round


async def test_show_prints_a_repair_with_the_message_that_asked_for_it(done: Path) -> None:
    id_ = "python-async-single-flight"
    ran = await run(done, "show", "r.csv", f"{id_}#1", "--target", "demo-medium")
    assert ran.code == 0, ran.err
    before, _, after = ran.out.partition("\nround 2\nfailed, ")
    assert "The classic solution: store the future" in before
    assert "A load that failed is forgotten now" not in before
    assert "Not all tests pass.\n\nWhat the tests printed begins so" in after
    assert "A load that failed is forgotten now" in after
    assert "not there" not in ran.out
    cut = await run(done, "show", "r.parquet", f"{id_}#{CUT}", "--target", "demo-medium")
    before, _, after = cut.out.partition("\nround 2\npassed, ")
    assert "truncated" in before
    assert "Your answer reached the token limit and was cut off.\n\nReturn the complete" in after
    wrong = await run(done, "show", "r.repair.csv", id_)
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "holds repairs: name the file of the first answers" in wrong.err


async def test_compare_report_and_grade_use_first_answers_only(done: Path) -> None:
    (done / "r.csv").unlink()
    (done / "r.repair.csv").unlink()
    baseline = ["--baseline", "demo/demo-medium", "--format", "json"]
    file = await run(done, "compare", "r.parquet", *baseline)
    folder = await run(done, "compare", ".", *baseline)
    assert file.code == folder.code == 0, file.err + folder.err
    differences = json.loads(file.out)["differences"]
    assert differences == json.loads(folder.out)["differences"]
    assert {line["attempts_baseline"] for line in differences} == {3}
    page = await run(done, "report", ".")
    assert "6 attempts" in page.out, page.err
    (work,) = done.glob("_work/*")
    graded = await run(done, "grade", str(work), "--sandbox", "bubblewrap", "--out", "g.csv")
    assert graded.code == 0, graded.err
    columns = ("target", "run", "outcome", "round")
    first = pl.read_parquet(done / "r.parquet").select(columns)
    assert pl.read_csv(done / "g.csv").select(columns).equals(first)
    with pytest.raises(llmbench.errors.ResultFileError, match="holds repairs"):
        llmbench.compare(llmbench.load(done / "r.parquet", done / "r.repair.parquet"))


async def test_after_ctrl_c_no_repair_begins_until_the_run_is_resumed(
    tmp_path: Path,
) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    flags = [*FLAGS, "--model", "demo-medium", "--runs", "6", "--concurrency", "1"]
    flags += ["--max-sandboxes", "1", "--max-repairs", "1", "--out", "r.parquet"]
    ran = await interrupted(tmp_path, *flags, rows=2, signals=[SIGINT])
    assert ran.code == 130, ran.err
    assert "the run was interrupted" in ran.err
    completions = _completions(tmp_path)
    assert completions.total() == journaled_rows(tmp_path) < 6 + 6
    again = await run(tmp_path, "--resume")
    assert again.code == 0, again.err
    completions = _completions(tmp_path)
    assert set(completions.values()) == {1}
    assert len(completions) == 6 + 6
    repairs = pl.read_parquet(tmp_path / "r.repair.parquet")
    assert repairs["passed"].to_list() == [False, False, True] * 2
    whole = await run(tmp_path, "--resume")
    assert "is complete: nothing remains to be done" in whole.err


def _completions(folder: Path) -> Counter[tuple[str, str, int, int]]:
    """Count the answers in the journal by target, problem, run and round."""
    (journal,) = folder.glob("_work/*/journal.jsonl")
    lines = map(json.loads, journal.read_text().splitlines())
    return Counter(tuple(line["key"]) for line in lines if "completion" in line)


async def test_a_sweep_writes_the_repairs_beside_the_file_of_each_target(tmp_path: Path) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    sweep = {
        "out": "nights",
        "run": {"runs": 1, "max_repairs": 1, "sandbox": "bubblewrap", "only": "python-async-*"},
        "targets": [{"provider": "demo", "model": ["demo-medium", "demo-large"]}],
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    ran = await run(tmp_path, "sweep", "sweep.yaml", "--date", "2026-01-31")
    assert ran.code == 0, ran.err
    rows = {path.name: len(pl.read_parquet(path)) for path in tmp_path.rglob("demo_*.parquet")}
    assert rows == {
        "demo_demo-medium.parquet": 1,
        "demo_demo-medium.repair.parquet": 1,
        "demo_demo-large.parquet": 1,
        "demo_demo-large.repair.parquet": 0,
    }
    trend = await run(tmp_path, "history", "nights/all", "--format", "json")
    assert [line["attempts"] for line in json.loads(trend.out)] == [1, 1], trend.out
