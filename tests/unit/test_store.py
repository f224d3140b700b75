"""Journal, tables, output files: nothing lost, nothing made up."""

import json
import math
import os
import tempfile
import threading
from dataclasses import astuple, replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_of import attempt, row

from llmbench.errors import OutputError
from llmbench.records import Completion, Usage, columns
from llmbench.store import journal, outputs, tables
from llmbench.store.journal import Bought, Journal, Judged
from llmbench.store.work import WorkFolder


def fail(line: str) -> None:
    raise AssertionError(line)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.none() | st.integers(0, 9))
def test_entries_come_back_as_they_went_in(text: str, seconds: float, tokens: int | None) -> None:
    completion = Completion(text, usage=Usage(tokens), llm_seconds=seconds, tries=2)
    entries: list[journal.Entry] = [
        Bought(attempt().key, completion),
        Judged(row(log_head=text, llm_seconds=seconds)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        with Journal(Path(folder)) as written:
            for entry in entries:
                written.append(entry)
        assert list(journal.read(written.path, fail)) == entries


def test_a_torn_last_line_costs_only_that_line(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(Judged(row(run=1)))
        written.append(Judged(row(run=2)))
    whole = written.path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        written.path.write_bytes(whole[:length])
        told: list[str] = []
        runs = [r.run for r in journal.rows(written.path, told.append)]
        assert (runs, len(told)) in (([1], 1 if length > first else 0), ([1, 2], 0))


def test_a_damaged_line_in_the_middle_is_left_out_and_told(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        for run in (1, 2, 3):
            written.append(Judged(row(run=run)))
    lines = written.path.read_bytes().splitlines(keepends=True)
    written.path.write_bytes(lines[0] + b'{"row": {"run": "x"}}\n' + b"\x00\xff\n" + lines[2])
    told: list[str] = []
    assert [r.run for r in journal.rows(written.path, told.append)] == [1, 3]
    assert told == [
        f"{written.path}:2: damaged line, left out",
        f"{written.path}:3: damaged line, left out",
    ]


def test_each_line_is_on_its_way_before_the_call_returns(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(Judged(row()))
        assert json.loads(written.path.read_text())["row"]["problem_id"] == "add"


def test_a_full_disk_is_one_line_and_ends_the_writing(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    written = Journal(tmp_path)
    real, written._file = written._file, full.open("ab", buffering=0)
    with pytest.raises(OutputError, match="No space left"):
        written.append(Judged(row()))
    written._file.close()
    written._file = real
    with pytest.raises(OutputError, match="No space left"):
        written.append(Judged(row()))
    written.close()
    assert written.path.read_bytes() == b""


def test_what_is_journaled_is_put_on_the_disk_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: synced.set())
    with Journal(tmp_path) as written:
        assert not synced.wait(0.05)
        written.append(Judged(row()))
        assert synced.wait(30)


def test_a_torn_line_stays_alone_when_the_journal_goes_on(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(Judged(row(run=1)))
        written.append(Judged(row(run=2)))
    written.path.write_bytes(written.path.read_bytes()[:-9])
    with Journal(tmp_path) as again:
        again.append(Judged(row(run=3)))
    told: list[str] = []
    assert [r.run for r in journal.rows(again.path, told.append)] == [1, 3]
    assert told == [f"{again.path}:2: damaged line, left out"]


def test_an_entry_is_found_again_by_its_place(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        for run in (1, 2, 3):
            written.append(Judged(row(run=run, log_head="§")))
    with written.path.open("rb") as file:
        for offset, entry in reversed(list(journal.places(written.path, fail))):
            assert journal.entry_at(file, offset) == entry


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(OutputError, match=f"process {os.getpid()} is writing"):
        Journal(tmp_path)
    with Journal(tmp_path):
        pass


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_table_reads_back_equal(tmp_path: Path, name: str) -> None:
    rows = [row(run=2), row(run=1, score=None, passed=None, log_head='a "b",\nc\r\n§')]
    table = tables.frame(rows)
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


def test_every_column_says_what_it_means() -> None:
    assert all(column.meaning for column in columns())


def test_rows_fill_the_columns_in_order() -> None:
    values = astuple(row())
    for column, value in zip(columns(), values, strict=True):
        assert (value is None and column.nullable) or isinstance(value, column.type), column


def test_no_rows_make_an_empty_table_with_all_columns() -> None:
    assert tables.frame([]).schema == tables.SCHEMA


def test_there_is_a_writer_for_each_output_format() -> None:
    assert tuple(tables.WRITERS) == outputs.FORMATS


def test_a_table_is_streamed_in_batches_with_its_metadata(tmp_path: Path) -> None:
    runs = range(1, 2 * tables.BATCH_ROWS + 2)
    table = tables.stream(lambda: (row(run=run) for run in runs))
    tables.write(table, tmp_path / "t.parquet", {"llmbench": "§"})
    tables.write(table, tmp_path / "t.csv")
    for read in (
        pl.read_parquet(tmp_path / "t.parquet"),
        pl.read_csv(tmp_path / "t.csv", schema=tables.SCHEMA),
    ):
        assert read.equals(tables.frame(row(run=run) for run in runs), null_equal=True)
    assert pl.read_parquet_metadata(tmp_path / "t.parquet")["llmbench"] == "§"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.parquet"]


def test_a_failed_write_leaves_the_old_table_whole(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "t.csv"
    with pytest.raises(OutputError, match="cannot be written"):
        tables.write(tables.frame([row()]), path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("t.txt", "must end in .csv or .parquet"),
        ("none/t.csv", "cannot be written"),
        ("t.repair.csv", "the name is that of a file of later rounds"),
    ],
)
def test_an_output_that_cannot_be_is_refused_beforehand(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(OutputError, match=reason):
        outputs.check([tmp_path / name])


def test_trying_an_output_leaves_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")
    outputs.check([path])
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_the_work_folder_keeps_texts_by_target_problem_and_run(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path)
    asked = attempt(run=3)
    odd = replace(asked, target=replace(asked.target, model="org/../model:free"))
    work.keep(odd, {"answer.md": "a\ud800b"})
    (kept,) = work.path.rglob("answer.md")
    assert kept.relative_to(work.path).parts == (
        "lmstudio_org_.._model_free",
        "add",
        "3",
        "answer.md",
    )


def test_a_missing_number_is_null_and_never_nought() -> None:
    table = tables.frame([row(ttft_seconds=None, cost_usd=None)])
    assert table["ttft_seconds"].null_count() == table["cost_usd"].null_count() == 1
    assert not any(math.isnan(v) for v in table["score"])
