"""Rows in tables and files, the check of `--out`, and the work folder."""

import errno
import math
import os
from dataclasses import astuple, replace
from pathlib import Path

import polars as pl
import pytest
from helpers.factories import attempt, row

from llmbench.errors import OutputError
from llmbench.records import columns
from llmbench.store import atomic, result_paths, tables
from llmbench.store.run_dir import RunDirectory


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_reads_back_equal(tmp_path: Path, name: str) -> None:
    rows = [row(run=2), row(run=1, score=None, passed=None, log_head='a "b",\nc\r\n§')]
    table = tables.to_frame(rows)
    tables.write(table, tmp_path / name)
    path = tmp_path / name
    read = (
        pl.read_parquet(path)
        if name.endswith("parquet")
        else pl.read_csv(path, schema=tables.SCHEMA)
    )
    assert read.schema == tables.SCHEMA
    assert read["run"].to_list() == [1, 2]
    assert read["score"].to_list() == [None, 100.0]
    assert read["log_head"].to_list()[0] == 'a "b",\nc\r\n§'
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_first_columns_are_those_that_scripts_rely_on() -> None:
    assert [c.name for c in columns()][:8] == [
        "problem_id", "lang", "run", "score", "passed", "exit_code", "llm_seconds", "log_head",
    ]  # fmt: skip
    assert list(tables.SCHEMA) == [c.name for c in columns()]


def test_every_column_has_a_meaning() -> None:
    assert all(column.meaning for column in columns())


def test_rows_fill_the_columns_in_order() -> None:
    values = astuple(row())
    for column, value in zip(columns(), values, strict=True):
        assert (value is None and column.nullable) or isinstance(value, column.type), column


def test_a_table_without_rows_has_all_columns() -> None:
    assert tables.to_frame([]).schema == tables.SCHEMA


def test_a_table_is_streamed_in_batches_with_its_metadata(tmp_path: Path) -> None:
    runs = range(1, 2 * tables.BATCH_ROWS + 2)
    table = tables.scan_rows(lambda: (row(run=run) for run in runs))
    tables.write(table, tmp_path / "t.parquet", {"llmbench": "§"})
    tables.write(table, tmp_path / "t.csv")
    for read in (
        pl.read_parquet(tmp_path / "t.parquet"),
        pl.read_csv(tmp_path / "t.csv", schema=tables.SCHEMA),
    ):
        assert read.equals(tables.to_frame(row(run=run) for run in runs), null_equal=True)
    assert pl.read_parquet_metadata(tmp_path / "t.parquet")["llmbench"] == "§"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.parquet"]


def test_a_table_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "t.csv"
    with pytest.raises(OutputError, match="cannot be written") as error:
        tables.write(tables.to_frame([row()]), path)
    assert error.value.hint == "the journal has all rows"


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("failing_at", [(os, "fsync"), (Path, "replace")], ids=lambda at: at[1])
def test_a_failed_or_killed_writer_leaves_the_old_table_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, failing_at: tuple[object, str]
) -> None:
    path = tmp_path / name
    tables.write(tables.to_frame([row(run=1)]), path)
    old = path.read_bytes()
    table = tables.to_frame([row(run=run) for run in (1, 2)])
    with monkeypatch.context() as failing:
        failing.setattr(*failing_at, unable)
        with pytest.raises(OutputError, match="No space left"):
            tables.write(table, path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == [name]
    with monkeypatch.context() as killed:
        killed.setattr(atomic, "replace_atomically", unable)
        killed.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(OutputError):
            tables.write(table, path, writer="run")
    assert path.read_bytes() == old
    assert sorted(p.name for p in tmp_path.iterdir()) == [f".{name}.run.tmp", name]
    tables.write(table, path, writer="run")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert tables.read(path).equals(table, null_equal=True)


def unable(*_: object) -> None:
    """Fail as on a full disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    rename = Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: calls.append(os.fstat(handle).st_ino))

    def replace(fresh: Path, path: Path) -> Path:
        calls.append("rename")
        return rename(fresh, path)

    monkeypatch.setattr(Path, "replace", replace)
    tables.write(tables.to_frame([row()]), tmp_path / "t.csv")
    file = (tmp_path / "t.csv").stat().st_ino
    assert calls == [file, "rename", tmp_path.stat().st_ino]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("t.txt", "must end in .csv or .parquet"),
        ("none/t.csv", "cannot be written"),
        ("t.repair.csv", r"names that end in \.repair\.csv are for repairs"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_by_the_check(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(OutputError, match=reason):
        result_paths.check([tmp_path / name])


def test_the_check_of_an_output_keeps_the_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")
    result_paths.check([path])
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_the_work_folder_keeps_texts_by_target_problem_and_run(tmp_path: Path) -> None:
    work = RunDirectory(tmp_path)
    third = attempt(run=3)
    odd = replace(third, target=replace(third.target, model="org/../model:free"))
    work.keep(odd, {"answer.md": "a\ud800b"})
    (answer,) = work.path.rglob("answer.md")
    assert answer.relative_to(work.path).parts == (
        "lmstudio_org_.._model_free~dea723c56411",
        "add",
        "3",
        "answer.md",
    )


def test_a_missing_number_is_null_and_not_zero() -> None:
    table = tables.to_frame([row(ttft_seconds=None, cost_usd=None)])
    assert table["ttft_seconds"].null_count() == table["cost_usd"].null_count() == 1
    assert not any(math.isnan(v) for v in table["score"])
