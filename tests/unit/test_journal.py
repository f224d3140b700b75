"""The journal: what was paid for is kept, and what is damaged costs itself alone."""

import errno
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from helpers.factories import attempt, row
from hypothesis import given
from hypothesis import strategies as st

from llmbench.errors import OutputError
from llmbench.records import Completion, Usage
from llmbench.store import journal
from llmbench.store.cache import Cache
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.journal_index import JournalIndex


def fail(line: str) -> None:
    raise AssertionError(line)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.none() | st.integers(0, 9))
def test_entries_come_back_as_they_went_in(text: str, seconds: float, tokens: int | None) -> None:
    completion = Completion(text, usage=Usage(tokens), llm_seconds=seconds, requests=2)
    entries: list[journal.Entry] = [
        CompletionEntry(attempt().key, completion),
        ResultEntry(row(log_head=text, llm_seconds=seconds)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        with Journal(Path(folder)) as written:
            for entry in entries:
                written.append(entry)
        assert list(journal.read(written.path, fail)) == entries


def test_a_torn_last_line_costs_only_that_line(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row(run=1)))
        written.append(ResultEntry(row(run=2)))
    whole = written.path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        written.path.write_bytes(whole[:length])
        told: list[str] = []
        runs = [r.run for r in journal.rows(written.path, told.append)]
        assert (runs, len(told)) in (([1], 1 if length > first else 0), ([1, 2], 0))


WHOLE = b'{"row":{"problem_id":"add","run":2}}'
OF_ANOTHER_VERSION = "not a line of this version, left out"


@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        (WHOLE[:20], "damaged line, left out"),
        (WHOLE[:20] + bytes(4096) + WHOLE[20:], "damaged line, left out"),
        (bytes(4096), "damaged line, left out"),
        (WHOLE.replace(b"add", b"a\xffd"), "damaged line, left out"),
        (b"\xef\xbb\xbf" + WHOLE, "damaged line, left out"),
        (b"[" * 100_000, "damaged line, left out"),
        (WHOLE, OF_ANOTHER_VERSION),
        (b'{"schema":2}', OF_ANOTHER_VERSION),
        (b"null", OF_ANOTHER_VERSION),
    ],
    ids=["torn", "hole", "nuls", "not UTF-8", "mark", "deep", "few columns", "other", "no object"],
)
def test_a_damaged_line_in_the_middle_costs_itself_and_is_told(
    tmp_path: Path, damaged: bytes, told: str
) -> None:
    with Journal(tmp_path) as written:
        for run in (1, 3):
            written.append(ResultEntry(row(run=run)))
    first, third = written.path.read_bytes().splitlines(keepends=True)
    written.path.write_bytes(first + damaged + b"\n" + third)
    heard: list[str] = []
    assert [r.run for r in journal.rows(written.path, heard.append)] == [1, 3]
    assert heard == [f"{written.path}:2: {told}"]


def test_a_row_whose_outcome_is_of_another_version_is_left_out_and_told(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row(outcome="melted")))
        written.append(ResultEntry(row(run=2), "graded"))
    heard: list[str] = []
    index = JournalIndex(written.path, heard.append)
    assert heard == [f"{written.path}:1: {OF_ANOTHER_VERSION}"]
    assert index.is_done("graded")


def test_what_a_later_version_adds_to_a_line_is_passed_over(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row()))
    line = json.loads(written.path.read_bytes())
    line["row"]["colour"] = line["colour"] = "blue"
    written.path.write_text(json.dumps(line) + "\n")
    assert list(journal.rows(written.path, fail)) == [row()]


def test_each_line_is_on_its_way_before_the_call_returns(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row()))
        assert json.loads(written.path.read_text())["row"]["problem_id"] == "add"


def test_a_full_disk_is_one_line_and_ends_the_writing(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    written = Journal(tmp_path)
    real, written._file = written._file, full.open("ab", buffering=0)
    with pytest.raises(OutputError, match="No space left"):
        written.append(ResultEntry(row()))
    written._file.close()
    written._file = real
    with pytest.raises(OutputError, match="No space left"):
        written.append(ResultEntry(row()))
    written.close()
    assert written.path.read_bytes() == b""


def test_what_is_journaled_is_put_on_the_disk_within_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    with Journal(tmp_path) as written:
        monkeypatch.setattr(os, "fsync", lambda _: synced.set())
        assert not synced.wait(journal.SYNC_SECONDS)
        for run in (1, 2):
            written.append(ResultEntry(row(run=run)))
            began = time.monotonic()
            assert not synced.is_set()
            assert synced.wait(30)
            assert time.monotonic() - began < journal.SYNC_SECONDS
            synced.clear()


def test_a_new_journal_is_on_the_disk_with_the_names_of_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    with Journal(tmp_path / "_work" / "run"):
        folders = [tmp_path / "_work" / "run", tmp_path / "_work", tmp_path]
        assert synced == [folder.stat().st_ino for folder in folders]


def failing_once(handle: int) -> None:
    """An fsync as Linux has it: an error is told once, and the data is gone."""
    os.fsync = REAL_FSYNC
    raise OSError(errno.EIO, os.strerror(errno.EIO))


REAL_FSYNC = os.fsync


def failed(written: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk fail below a journal."""
    monkeypatch.setattr(os, "fsync", failing_once)
    written.append(ResultEntry(row()))
    written._syncing.join(30)


def test_a_disk_that_fails_ends_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(tmp_path) as written:
        failed(written, monkeypatch)
        with pytest.raises(OutputError, match=r"journal\.jsonl: cannot be written: Input/output"):
            written.append(ResultEntry(row()))


def test_a_disk_that_failed_after_the_last_line_is_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Journal(tmp_path)
    failed(written, monkeypatch)
    with pytest.raises(OutputError, match="Input/output"):
        written.close()
    with Journal(tmp_path):
        pass


def test_a_journal_that_was_removed_takes_no_more_lines(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.path.unlink()
        written.append(ResultEntry(row()))
        written._syncing.join(30)
        with pytest.raises(OutputError, match="was removed"):
            written.append(ResultEntry(row()))


def test_a_torn_line_stays_alone_when_the_journal_goes_on(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row(run=1)))
        written.append(ResultEntry(row(run=2)))
    written.path.write_bytes(written.path.read_bytes()[:-9])
    with Journal(tmp_path) as again:
        again.append(ResultEntry(row(run=3)))
    told: list[str] = []
    assert [r.run for r in journal.rows(again.path, told.append)] == [1, 3]
    assert told == [f"{again.path}:2: damaged line, left out"]


def test_an_entry_is_found_again_by_its_place(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        for run in (1, 2, 3):
            written.append(ResultEntry(row(run=run, log_head="§")))
    with written.path.open("rb") as file:
        for offset, entry in reversed(list(journal.scan(written.path, fail))):
            assert journal.read_entry(file, offset) == entry


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(OutputError, match=f"process {os.getpid()} is writing"):
        Journal(tmp_path)
    with Journal(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from llmbench.store.lock import RunLock\n"
        "lock = RunLock(Path(sys.argv[1])); print('locked', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(OutputError, match=f"process {holder.pid} is writing this run"):
            Journal(tmp_path)
        holder.kill()
    with Journal(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_an_answer_whose_run_was_removed_is_not_in_the_cache(tmp_path: Path) -> None:
    with Journal(tmp_path / "old") as written:
        written.append(CompletionEntry(attempt().key, Completion("text", cost_usd=1.0), "asked"))
    cache = Cache(tmp_path, tmp_path / "new" / journal.NAME)
    found = cache.completion("asked")
    assert found is not None
    assert (found.text, found.from_cache, found.cost_usd) == ("text", True, None)
    assert cache.completion("other") is None
    written.path.unlink()
    assert cache.completion("asked") is None
