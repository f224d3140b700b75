"""Result files of any writer are read, or refused in one line."""

import csv
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

import duckdb
import pandas as pd
import polars as pl
import pytest
from helpers.factories import row
from hypothesis import example, given
from hypothesis import strategies as st

from llmbench.errors import OutputError, ResultFileError
from llmbench.records import columns
from llmbench.store import result_paths, tables
from llmbench.store.dated_results import result_files
from llmbench.store.result_formats import FORMATS, ResultFormat

ROWS = [
    row(run=1, tags="a,b", seed=2**60),
    row(
        run=2,
        score=None,
        passed=None,
        outcome="provider_error",
        exit_code=None,
        log_head='a "b",\nc\r\n§',
        seed=None,
    ),
    row(run=3, score=0.0, passed=False, outcome="failed", log_head=""),
]


@pytest.fixture
def table() -> pl.DataFrame:
    return tables.to_frame(ROWS)


def written(folder: Path, table: pl.DataFrame, name: str) -> Path:
    tables.write(table, folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["r.csv", "r.parquet", "odd [*] name.csv"])
def test_a_result_is_read_as_it_was_written(tmp_path: Path, table: pl.DataFrame, name: str) -> None:
    read = tables.read(written(tmp_path, table, name))
    assert read.schema == tables.SCHEMA
    assert read.equals(table, null_equal=True)


def test_csv_and_parquet_load_as_one_table_with_the_source_of_each_row(
    tmp_path: Path, table: pl.DataFrame
) -> None:
    paths = [written(tmp_path, table, name) for name in ("a.csv", "b.parquet")]
    loaded = tables.load(paths)
    assert loaded[tables.SOURCE].to_list() == [str(path) for path in paths for _ in ROWS]
    assert loaded.drop(tables.SOURCE).equals(pl.concat([table, table]), null_equal=True)


def test_a_csv_that_pandas_has_rewritten_is_the_same_result(
    tmp_path: Path, table: pl.DataFrame
) -> None:
    small = table.with_columns(pl.lit(None, pl.Int64).alias("seed"))  # pandas keeps 53 bits
    path = written(tmp_path, small, "r.csv")
    pd.read_csv(path).to_csv(tmp_path / "again.csv", index=False)
    again = tables.read(tmp_path / "again.csv")
    assert again.drop("log_head").equals(small.drop("log_head"), null_equal=True)


def test_a_column_that_an_older_file_lacks_is_null(tmp_path: Path, table: pl.DataFrame) -> None:
    read = tables.read(written(tmp_path, table.drop("ttfa_seconds"), "old.parquet"))
    assert read["ttfa_seconds"].null_count() == len(ROWS)
    assert read.schema == tables.SCHEMA


def test_a_file_without_rounds_holds_first_answers(tmp_path: Path, table: pl.DataFrame) -> None:
    read = tables.read(written(tmp_path, table.drop("round"), "old.csv"))
    assert read.equals(table, null_equal=True)
    assert read["round"].to_list() == [1, 1, 1]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_repairs_are_in_a_file_of_their_own(
    tmp_path: Path, table: pl.DataFrame, ending: str
) -> None:
    path = tmp_path / f"r.{ending}"
    repairs = tables.to_frame([row(run=3, round=3), row(run=3, round=2)])
    beside = result_paths.repair_path(path)
    assert beside.name == f"r.repair.{ending}"
    assert tables.write_with_repairs(table, repairs, path, {}) == [path, beside]
    assert tables.read(beside)["round"].to_list() == [2, 3]
    for result in (path, tmp_path):
        assert tables.read_result(result).equals(table, null_equal=True)
    assert result_files([tmp_path]) == [path]
    for mixed in ([beside], [path, beside]):
        with pytest.raises(ResultFileError, match="holds repairs: name the file"):
            tables.load(mixed, once=True)
    with pytest.raises(ResultFileError, match="holds repairs"):
        tables.read_result(beside)
    assert len(tables.load([path, beside])) == len(table) + 2


def test_a_result_without_repairs_removes_those_of_the_older_result(
    tmp_path: Path, table: pl.DataFrame
) -> None:
    path = tmp_path / "r.csv"
    tables.write_with_repairs(table, tables.to_frame([row(round=2)]), path, {})
    assert tables.write_with_repairs(table, None, path, {}) == [path]
    assert [file.name for file in tmp_path.iterdir()] == ["r.csv"]


def test_an_unknown_column_is_dropped(tmp_path: Path, table: pl.DataFrame) -> None:
    more = table.with_columns(pl.lit("x").alias("note"))
    assert tables.read(written(tmp_path, more, "r.csv")).schema == tables.SCHEMA


Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.drop("outcome", "target"), "lacks outcome, target"),
        (lambda t: t.with_columns(pl.lit("fast").alias("llm_seconds")), "column llm_seconds"),
        (lambda t: t.with_columns(pl.lit("maybe").alias("passed")), "column passed"),
        (
            lambda t: t.with_columns(pl.lit("melted").alias("outcome")),
            "outcome 'melted' is unknown",
        ),
        (lambda t: t.with_columns(pl.lit(None, pl.Int64).alias("run")), "row 1 has no run"),
        (lambda t: t.with_columns(passed=True), "row 2 contradicts itself: provider_error"),
        (lambda t: t.with_columns(pl.lit(50.0).alias("score")), "passed with score 50.0 and"),
        (lambda t: pl.concat([t, t]), "several rows for target lmstudio/m problem_id add run 1"),
    ],
)
@pytest.mark.parametrize("name", ["r.csv", "r.parquet"])
def test_a_file_with_wrong_rows_is_refused_with_the_reason(
    tmp_path: Path, table: pl.DataFrame, name: str, change: Change, reason: str
) -> None:
    path = written(tmp_path, change(table), name)
    with pytest.raises(ResultFileError) as error:
        tables.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("none.csv", None, "cannot be read"),
        ("none.parquet", None, "cannot be read"),
        ("r.json", "[]", "ends in .csv or .parquet"),
        ("empty.csv", "", "no result table"),
        ("text.parquet", "not parquet at all", "no result table"),
        ("text.csv", "hello\nworld\n", "lacks problem_id"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str | None, reason: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ResultFileError) as error:
        tables.load([path])
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_further_format_is_one_entry_of_the_table(
    tmp_path: Path, table: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    json_lines = ResultFormat(
        read=lambda path: pl.read_ndjson(path, schema=tables.SCHEMA),
        write=lambda frame, path, _: frame.sink_ndjson(path),
    )
    path = tmp_path / "r.jsonl"
    with pytest.raises(OutputError, match="must end in"):
        result_paths.check([path])
    monkeypatch.setitem(cast("dict[str, ResultFormat]", FORMATS), ".jsonl", json_lines)
    result_paths.check([path])
    tables.write(table, path)
    assert result_files([tmp_path]) == [path]
    assert tables.read(path).equals(table, null_equal=True)


def test_the_formats_are_imported_without_polars() -> None:
    code = "import sys, llmbench.store.result_paths; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_duckdb_and_pandas_read_the_types_of_a_parquet_result(
    tmp_path: Path, table: pl.DataFrame
) -> None:
    path = written(tmp_path, table, "r.parquet")
    kinds = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}
    described = duckdb.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()
    assert [line[:2] for line in described] == [(c.name, kinds[c.type]) for c in columns()]
    passed = duckdb.execute(f"SELECT run, passed, score FROM '{path}' ORDER BY run").fetchall()
    assert passed == [(1, True, 100.0), (2, None, None), (3, False, 0.0)]
    frame = pd.read_parquet(path, dtype_backend="numpy_nullable")
    assert list(frame.columns) == [c.name for c in columns()]
    assert frame["seed"].tolist() == [2**60, pd.NA, 7]
    assert frame["log_head"].tolist() == table["log_head"].to_list()


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''-x", "'text", "-"]
RARE = ["a\0b", "\0", "␀", "␀0\0␀1", "=\0"]


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8")), min_size=1, max_size=5))
@example([*FORMULAS, *RARE])
def test_any_text_in_a_csv_is_read_as_it_was_written(texts: list[str]) -> None:
    table = tables.to_frame(row(run=run, log_head=text) for run, text in enumerate(texts, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), table, "r.csv")
        assert tables.read(path)["log_head"].to_list() == texts
        assert b"\0" not in path.read_bytes()


def test_no_cell_of_a_csv_begins_a_formula(tmp_path: Path) -> None:
    table = tables.to_frame(row(run=run, log_head=text) for run, text in enumerate(FORMULAS, 1))
    path = written(tmp_path, table.with_columns(target=pl.lit("=1"), exit_code=-9), "r.csv")
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {line["exit_code"] for line in lines} == {"-9"}
    for line in lines:
        assert line["target"] == "'=1"
        assert line["log_head"][0] not in "=+-@\t\r"
