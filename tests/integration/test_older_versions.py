"""The files of version 0.1 are read, shown, graded and resumed as those of this version."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from helpers.cli import run
from helpers.sandboxes import opened

import llmbench
from llmbench.completions import Completion
from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey
from llmbench.runners import load_runners
from llmbench.store import journal, provenance, tables
from llmbench.store.journal import CompletionEntry, ResultEntry
from llmbench.store.journal_index import JournalIndex

pytestmark = pytest.mark.anyio

VERSION_0_1 = Path(__file__).parents[1] / "fixtures/version_0_1"
RUN = "20261128-221238-6cdc"
TARGET = "openai-compatible/small"
RENAMED = {"tries": "requests", "recorded": "replayed", "cached": "from_cache"}
MEASURED = (
    *("test_seconds", "test_cpu_seconds", "log_head", "sandbox", "tokens_per_second"),
    "has_reasoning",
)
"""The columns in which two gradings of the same answer differ. Version 0.1 did not count the chunks
of an answer, so that its speed cannot be known, and had no column that tells of reasoning."""

SANDBOXES = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder as version 0.1 left it: results, problems and the run in `_work`."""
    shutil.copytree(VERSION_0_1, tmp_path, dirs_exist_ok=True)
    (tmp_path / "_work").mkdir()
    (tmp_path / "run").rename(tmp_path / "_work" / RUN)
    return tmp_path


async def require(sandbox: str) -> None:
    """Skip the test if this machine lacks the sandbox."""
    async with opened(sandbox, load_runners(bundled_dir("runners"))):
        pass


def fail(warning: str) -> None:
    raise AssertionError(warning)


def test_csv_and_parquet_load_as_equal_rows() -> None:
    csv, parquet = (llmbench.load(VERSION_0_1 / f"results.{kind}") for kind in ("csv", "parquet"))
    assert csv.drop(tables.SOURCE).equals(parquet.drop(tables.SOURCE), null_equal=True)
    assert csv.schema == {**tables.SCHEMA, tables.SOURCE: pl.String}
    assert csv.select("problem_id", "run", "outcome").rows() == [
        ("double", 1, "passed"), ("double", 2, "passed"),
        ("half", 1, "failed"), ("half", 2, "failed"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["results.csv", "results.repair.csv", "results.parquet"])
def test_renamed_columns_have_the_values_of_the_old_ones(name: str) -> None:
    path = VERSION_0_1 / name
    old = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    table = llmbench.load(path)
    for former, column in RENAMED.items():
        assert former not in table.columns
        assert table[column].to_list() == old[former].to_list()
    assert table["requests"].to_list() == [1] * len(table)


def test_a_file_of_repairs_loads_beside_its_result() -> None:
    both = tables.with_repairs(llmbench.load(VERSION_0_1 / "results.csv"))
    assert both is not None
    _, repairs = both
    assert repairs.select("problem_id", "round", "outcome", "requests").rows() == [
        ("half", 2, "passed", 1), ("half", 2, "passed", 1),
    ]  # fmt: skip


async def test_old_results_are_compared(folder: Path) -> None:
    ran = await run(folder, "compare", "results.csv", "results.parquet", "--fail-on-regression=0")
    assert ran.code == 0, ran.err
    assert "50.0% → 50.0%" in ran.out


async def test_an_old_attempt_is_shown_with_its_repair(folder: Path) -> None:
    ran = await run(folder, "show", "results.csv", "half", "--problems", "problems.yaml")
    assert ran.code == 0, ran.err
    assert "half(n: float) -> float" in ran.out
    assert "return n // 2" in ran.out
    assert "round 2" in ran.out
    assert "return n / 2" in ran.out


async def test_an_old_result_makes_a_report(folder: Path) -> None:
    for package in ("altair", "jinja2", "pygments", "vl_convert"):
        pytest.importorskip(package)
    ran = await run(
        folder, "report", "results.parquet", "--problems", "problems.yaml", "-o", "r.html"
    )
    assert ran.code == 0, ran.err
    assert "4 attempts" in ran.out
    assert TARGET in (folder / "r.html").read_text(encoding="utf-8")


def test_the_journal_yields_completions_and_rows_with_current_names() -> None:
    entries = list(journal.read(VERSION_0_1 / "run" / journal.NAME, fail))
    completions = [entry for entry in entries if isinstance(entry, CompletionEntry)]
    results = [entry for entry in entries if isinstance(entry, ResultEntry)]
    assert len(completions) == len(results) == 6
    assert completions[0].key == AttemptKey(TARGET, "double", 1)
    assert completions[0].request_hash == "628139542ed8590cb857e8cb6dbb0be9"
    first = completions[0].completion
    assert first.text.startswith("```python\ndef double")
    assert first.unsupported_params == ("temperature", "seed")
    assert (first.requests, first.from_cache, first.has_timings) == (1, False, True)
    table = tables.to_frame(entry.row for entry in results if entry.row.round == 1)
    assert table.equals(tables.read(VERSION_0_1 / "results.csv"), null_equal=True)
    assert all(entry.result_hash for entry in results)


def test_every_field_of_a_completion_survives_its_former_name(tmp_path: Path) -> None:
    line = {
        "key": ["a/b", "p", 1, 1],
        "completion": {
            "text": "t", "tries": 3, "cached": True, "timed": False, "unsent": ["seed"],
        },
        "asked": "hash",
    }  # fmt: skip
    path = tmp_path / journal.NAME
    path.write_text(json.dumps(line) + "\n")
    completion = Completion(
        "t", requests=3, from_cache=True, has_timings=False, unsupported_params=("seed",)
    )
    expected = CompletionEntry(AttemptKey("a/b", "p", 1), completion, "hash")
    assert list(journal.read(path, fail)) == [expected]


def test_the_journal_is_indexed_by_the_hashes_of_version_0_1() -> None:
    index = JournalIndex(VERSION_0_1 / "run" / journal.NAME, fail)
    assert index.is_answered("628139542ed8590cb857e8cb6dbb0be9")
    completion = index.completion("628139542ed8590cb857e8cb6dbb0be9")
    assert completion is not None
    assert completion.model == "small"
    assert {key.problem_id for key in index.problems} == {"double", "half"}


def test_the_run_record_has_current_names() -> None:
    record = provenance.read(VERSION_0_1 / "run")
    assert record["run"] == RUN
    assert record["sweep_step"] is None
    plan = record["plan"]
    assert (plan["max_sandboxes"], plan["max_repairs"], plan["runs"]) == (2, 1, 2)
    (endpoint,) = plan["endpoints"]
    assert endpoint["replayed"] is False
    assert endpoint["targets"][0]["model"] == "small"
    assert not {"lanes", "sandboxes", "repair"} & plan.keys()


def test_a_problem_may_have_the_name_of_a_former_field(tmp_path: Path) -> None:
    record = provenance.read(VERSION_0_1 / "run")
    record["plan"]["problems"] = {"repair": "0", "recorded": "1"}
    provenance.write(tmp_path, record)
    assert provenance.read(tmp_path) == record


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_an_old_run_is_graded_again_to_the_same_outcomes(folder: Path, sandbox: str) -> None:
    await require(sandbox)
    flags = ("--problems", "problems.yaml", "--sandbox", sandbox, "--out", "graded.csv")
    ran = await run(folder, "grade", f"_work/{RUN}", *flags)
    assert ran.code == 0, ran.err
    before, after = tables.read(folder / "results.csv"), tables.read(folder / "graded.csv")
    for column in before.drop(MEASURED).columns:
        assert after[column].equals(before[column], null_equal=True), column


@pytest.mark.parametrize("sandbox", SANDBOXES)
async def test_a_complete_old_run_resumes_without_a_server_to_the_same_rows(
    folder: Path, sandbox: str
) -> None:
    await require(sandbox)
    names = ["results.csv", "results.repair.csv", "results.parquet"]
    before = {name: tables.read(folder / name) for name in names}
    for name in names:
        (folder / name).unlink()
    ran = await run(folder, "--resume", "--sandbox", sandbox)
    assert ran.code == 0, ran.err
    assert f"run {RUN} is complete: nothing remains to be done" in ran.err
    for name in names:
        assert tables.read(folder / name).equals(before[name], null_equal=True), name
    assert "tries" not in (folder / "results.csv").read_text()
    record = json.loads((folder / "_work" / RUN / provenance.NAME).read_text())
    assert "endpoints" in record["plan"]
    assert len(record["sessions"]) == 2
