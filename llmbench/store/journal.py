"""The truth of a run: one line when a completion is in, one when its row is."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, TypeAdapter, ValidationError
from pydantic_core import from_json

from llmbench.errors import OutputError
from llmbench.records import AttemptKey, Completion, Outcome, Row, columns
from llmbench.store import atomic
from llmbench.store.lock import RunLock

NAME = "journal.jsonl"
SYNC_SECONDS = 1.0
"""How far the disk may be behind the journal."""


@dataclass(frozen=True, slots=True)
class CompletionEntry:
    """A completion is in: it is paid for. `request_hash` is the hash of all that was asked."""

    key: AttemptKey
    completion: Completion
    request_hash: str = ""


@dataclass(frozen=True, slots=True)
class ResultEntry:
    """An attempt has ended in its row. `result_hash` is the hash of all that decided it."""

    row: Row
    result_hash: str = ""


Entry = CompletionEntry | ResultEntry


def _of_known_outcome(judged: ResultEntry) -> ResultEntry:
    Outcome(judged.row.outcome)
    return judged


_COMPLETION: TypeAdapter[Entry] = TypeAdapter(CompletionEntry)
_RESULT: TypeAdapter[Entry] = TypeAdapter(Annotated[ResultEntry, AfterValidator(_of_known_outcome)])


FORMER_NAMES = {"asked": "request_hash", "graded": "result_hash"}
"""Fields of a line as version 0.1 wrote them, and their names now."""

_FORMER_FIELDS = {
    "row": {column.formerly: column.name for column in columns() if column.formerly},
    "completion": {
        "tries": "requests",
        "cached": "from_cache",
        "timed": "has_timings",
        "unsent": "unsupported_params",
    },
}


class Journal:
    """Appends entries to a run's journal, which no other process can write meanwhile.

    Each line reaches the system before the call returns, and the disk within SYNC_SECONDS.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal of the run that works in `folder`; a torn last line is ended.

        Raises:
            OutputError: the folder cannot be written, or another process writes this run.
        """
        self.path = folder / NAME
        with _told(self.path):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = RunLock(folder)
        self._fault: OutputError | None = None
        self._fault_told = False
        self._dirty = threading.Event()
        self._closing = threading.Event()
        try:
            with _told(self.path):
                torn = _is_torn(self.path)
                self._file = self.path.open("ab", buffering=0)
                if torn:
                    self._file.write(b"\n")
                self._end = self._file.tell()
                for holding in (folder, *folder.absolute().parents[:2]):
                    atomic.sync_folder(holding)
        except OutputError:
            self._lock.close()
            raise
        self._syncing = threading.Thread(target=self._sync_often, name="journal", daemon=True)
        self._syncing.start()

    def append(self, entry: Entry) -> int:
        """Write one entry as one line; returns the byte at which the line begins.

        Raises:
            OutputError: the disk is full, or within SYNC_SECONDS has failed or the file was
                removed; what stands in it stays good, and nothing more is written.
        """
        self._check()
        adapter = _RESULT if isinstance(entry, ResultEntry) else _COMPLETION
        line = adapter.dump_json(entry) + b"\n"
        try:
            with _told(self.path):
                written = self._file.write(line)
            if written != len(line):
                raise OutputError(f"{self.path}: cannot be written: the disk is full")
        except OutputError as error:
            self._fault = error
            self._check()
        self._dirty.set()
        begin, self._end = self._end, self._end + len(line)
        return begin

    def close(self) -> None:
        """Put the journal on the disk, close it and let the run go.

        Raises:
            OutputError: the disk failed, and `append` has not said so.
        """
        self._closing.set()
        self._dirty.set()
        self._syncing.join()
        try:
            if not self._fault_told:
                self._check()
                self._sync()
        finally:
            self._file.close()
            self._lock.close()

    def _check(self) -> None:
        """Tell the fault: once a disk has failed, later calls may say that all is well."""
        if self._fault is not None:
            self._fault_told = True
            raise self._fault

    def _sync(self) -> None:
        with _told(self.path):
            os.fsync(self._file.fileno())
            names = os.fstat(self._file.fileno()).st_nlink
        if not names:
            raise OutputError(f"{self.path}: was removed while the run wrote to it")

    def _sync_often(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._closing.wait(SYNC_SECONDS / 2)  # the other half is for the disk
            self._dirty.clear()
            try:
                self._sync()
            except OutputError as error:
                self._fault = error
                return

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def scan(path: Path, on_damage: Callable[[str], None]) -> Iterator[tuple[int, Entry]]:
    """The entries of a journal in their order, each with the byte at which its line begins.

    A line that is torn, damaged or of another version costs that line alone, and `on_damage` hears
    of it in one line.
    """
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                found = parse_entry(from_json(line))
            except ValidationError:
                on_damage(f"{path}:{number}: not a line of this version, left out")
            except ValueError:
                if line.strip():
                    on_damage(f"{path}:{number}: damaged line, left out")
            else:
                yield offset, found
            offset += len(line)


def read_entry(file: BinaryIO, offset: int) -> Entry:
    """The entry whose line begins at this byte, as `places` told."""
    file.seek(offset)
    return parse_entry(from_json(file.readline()))


def read(path: Path, on_damage: Callable[[str], None]) -> Iterator[Entry]:
    """The entries of a journal in their order; damage as in `places`."""
    for _, found in scan(path, on_damage):
        yield found


def rows(path: Path, on_damage: Callable[[str], None]) -> Iterator[Row]:
    """The rows of a journal in the order in which they came."""
    for each in read(path, on_damage):
        if isinstance(each, ResultEntry):
            yield each.row


def parse_entry(data: Any) -> Entry:
    """One entry from its line's JSON.

    Raises:
        ValidationError: it is none.
    """
    if isinstance(data, dict) and "row" in data:
        return _RESULT.validate_python(_renamed(data, "row"))
    return _COMPLETION.validate_python(_renamed(data, "completion"))


def _renamed(data: Any, record: str) -> Any:
    """A line with the names of this version; lines of older versions have others."""
    if not isinstance(data, dict) or not FORMER_NAMES.keys() & data.keys():
        return data
    line = {FORMER_NAMES.get(name, name): value for name, value in data.items()}
    if isinstance(line.get(record), dict):
        former = _FORMER_FIELDS[record]
        line[record] = {former.get(name, name): value for name, value in line[record].items()}
    return line


def _is_torn(path: Path) -> bool:
    """True when a journal ends within a line, as a crash or a full disk leaves it."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
