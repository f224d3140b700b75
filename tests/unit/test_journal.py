"""The journal keeps every answer, and a damaged line costs that line only."""

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

from llmbench.completions import Completion, Usage
from llmbench.errors import OutputError
from llmbench.store import journal
from llmbench.store.cache import Cache
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.journal_index import JournalIndex


def fail(line: str) -> None:
    raise AssertionError(line)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.none() | st.integers(0, 9))
def test_entries_are_read_as_they_were_written(
    text: str, seconds: float, tokens: int | None
) -> None:
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
        warnings: list[str] = []
        runs = [r.run for r in journal.rows(written.path, warnings.append)]
        assert (runs, len(warnings)) in (([1], 1 if length > first else 0), ([1, 2], 0))


WHOLE = b'{"row":{"problem_id":"add","run":2}}'
DAMAGED = "damaged line, skipped"
UNKNOWN_VERSION = "not a line of this version, skipped"


@pytest.mark.parametrize(
    ("damaged", "warning"),
    [
        (WHOLE[:20], DAMAGED),
        (WHOLE[:20] + bytes(4096) + WHOLE[20:], DAMAGED),
        (bytes(4096), DAMAGED),
        (WHOLE.replace(b"add", b"a\xffd"), DAMAGED),
        (b"\xef\xbb\xbf" + WHOLE, DAMAGED),
        (b"[" * 100_000, DAMAGED),
        (WHOLE, UNKNOWN_VERSION),
        (b'{"schema":2}', UNKNOWN_VERSION),
        (b"null", UNKNOWN_VERSION),
    ],
    ids=["torn", "hole", "nuls", "not UTF-8", "mark", "deep", "few columns", "other", "no object"],
)
def test_a_damaged_line_in_the_middle_is_skipped_with_a_warning(
    tmp_path: Path, damaged: bytes, warning: str
) -> None:
    with Journal(tmp_path) as written:
        for run in (1, 3):
            written.append(ResultEntry(row(run=run)))
    first, third = written.path.read_bytes().splitlines(keepends=True)
    written.path.write_bytes(first + damaged + b"\n" + third)
    warnings: list[str] = []
    assert [r.run for r in journal.rows(written.path, warnings.append)] == [1, 3]
    assert warnings == [f"{written.path}:2: {warning}"]


def test_a_row_with_an_unknown_outcome_is_skipped_with_a_warning(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row(outcome="melted")))
        written.append(ResultEntry(row(run=2), "hash"))
    warnings: list[str] = []
    index = JournalIndex(written.path, warnings.append)
    assert warnings == [f"{written.path}:1: {UNKNOWN_VERSION}"]
    assert index.is_done("hash")


def test_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row()))
    line = json.loads(written.path.read_bytes())
    line["row"]["colour"] = line["colour"] = "blue"
    written.path.write_text(json.dumps(line) + "\n")
    assert list(journal.rows(written.path, fail)) == [row()]


def test_a_line_is_written_before_append_returns(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row()))
        assert json.loads(written.path.read_text())["row"]["problem_id"] == "add"


def test_a_full_disk_ends_the_journal_with_one_error(tmp_path: Path) -> None:
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


def test_lines_are_synced_to_the_disk_within_a_second(
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


def test_a_new_journal_syncs_the_names_of_its_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    with Journal(tmp_path / "_work" / "run"):
        folders = [tmp_path / "_work" / "run", tmp_path / "_work", tmp_path]
        assert synced == [folder.stat().st_ino for folder in folders]


def failing_once(handle: int) -> None:
    """Fail as fsync does on Linux: it reports an error once, and the data is lost."""
    os.fsync = REAL_FSYNC
    raise OSError(errno.EIO, os.strerror(errno.EIO))


REAL_FSYNC = os.fsync


def failed(written: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the disk of a journal fail."""
    monkeypatch.setattr(os, "fsync", failing_once)
    written.append(ResultEntry(row()))
    written._syncing.join(30)


def test_a_failed_sync_ends_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path) as written:
        failed(written, monkeypatch)
        with pytest.raises(OutputError, match=r"journal\.jsonl: cannot be written: Input/output"):
            written.append(ResultEntry(row()))


def test_a_sync_that_fails_after_the_last_line_is_raised_on_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Journal(tmp_path)
    failed(written, monkeypatch)
    with pytest.raises(OutputError, match="Input/output"):
        written.close()
    with Journal(tmp_path):
        pass


def test_a_removed_journal_accepts_no_more_lines(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.path.unlink()
        written.append(ResultEntry(row()))
        written._syncing.join(30)
        with pytest.raises(OutputError, match="was removed"):
            written.append(ResultEntry(row()))


def test_lines_after_a_torn_line_are_whole(tmp_path: Path) -> None:
    with Journal(tmp_path) as written:
        written.append(ResultEntry(row(run=1)))
        written.append(ResultEntry(row(run=2)))
    written.path.write_bytes(written.path.read_bytes()[:-9])
    with Journal(tmp_path) as again:
        again.append(ResultEntry(row(run=3)))
    warnings: list[str] = []
    assert [r.run for r in journal.rows(again.path, warnings.append)] == [1, 3]
    assert warnings == [f"{again.path}:2: {DAMAGED}"]


def test_an_entry_is_read_by_its_offset(tmp_path: Path) -> None:
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


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
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


def test_the_cache_misses_answers_of_a_removed_run(tmp_path: Path) -> None:
    with Journal(tmp_path / "old") as written:
        written.append(CompletionEntry(attempt().key, Completion("text", cost_usd=1.0), "hash"))
    cache = Cache(tmp_path, tmp_path / "new" / journal.NAME)
    completion = cache.completion("hash")
    assert completion is not None
    assert (completion.text, completion.from_cache, completion.cost_usd) == ("text", True, None)
    assert cache.completion("other") is None
    written.path.unlink()
    assert cache.completion("hash") is None
