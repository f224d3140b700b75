"""The journal of a run: one line for each completion and one for each row that it led to.

It is the only record of a run's answers and rows; tables are derived from it.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import AfterValidator, TypeAdapter, ValidationError
from pydantic_core import from_json

from llmbench.completions import Completion, Usage
from llmbench.errors import OutputError
from llmbench.records import AttemptKey, Outcome, Row, columns
from llmbench.store import atomic
from llmbench.store.former_names import JOURNAL_LINE, with_current_names
from llmbench.store.lock import RunLock

NAME = "journal.jsonl"
SYNC_SECONDS = 1.0
"""Maximum delay between a write and its sync to the disk."""

MAX_INTEGER = 2**63 - 1
"""The largest whole number that a table holds."""

_MISSING_COLUMNS = {
    column.name: column.default for column in columns() if column.nullable or column.default
}
"""Values of the columns that rows of older versions may lack."""

_COUNTS = tuple(field.name for field in fields(Usage))
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompletionEntry:
    """An answer has arrived. `request_hash` is the hash of its request."""

    key: AttemptKey
    completion: Completion
    request_hash: str = ""


@dataclass(frozen=True, slots=True)
class ResultEntry:
    """An attempt has ended. `result_hash` is the hash of everything that decided its row."""

    row: Row
    result_hash: str = ""


Entry = CompletionEntry | ResultEntry


def _with_known_outcome(entry: ResultEntry) -> ResultEntry:
    Outcome(entry.row.outcome)
    return entry


_COMPLETION: TypeAdapter[Entry] = TypeAdapter(CompletionEntry)
_RESULT: TypeAdapter[Entry] = TypeAdapter(
    Annotated[ResultEntry, AfterValidator(_with_known_outcome)]
)


class Journal:
    """Appends entries to the journal of a run, which no other process can write meanwhile.

    A line is written before `append` returns, and synced to the disk within SYNC_SECONDS.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal of the run in `folder`; a torn last line gets its line end.

        Raises:
            OutputError: the folder cannot be written, or another process writes this run.
        """
        self.path = folder / NAME
        with _as_output_error(self.path):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = RunLock(folder)
        self._error: OutputError | None = None
        self._error_raised = False
        self._dirty = threading.Event()
        self._closing = threading.Event()
        try:
            with _as_output_error(self.path):
                torn = _is_torn(self.path)
                self._file = self.path.open("ab", buffering=0)
                if torn:
                    self._file.write(b"\n")
                self._end = self._file.tell()
                for parent in (folder, *folder.absolute().parents[:2]):
                    atomic.sync_folder(parent)
        except OutputError:
            self._lock.close()
            raise
        _logger.debug("opened %s%s", self.path, ", whose last line is torn" if torn else "")
        self._syncing = threading.Thread(target=self._sync_often, name="journal", daemon=True)
        self._syncing.start()

    def append(self, entry: Entry) -> int:
        """Write one entry as one line; returns the byte at which the line begins.

        Raises:
            OutputError: the disk is full; or a sync has failed, or the file was removed, at most
                SYNC_SECONDS ago. Earlier lines stay valid and no more are written.
        """
        self._raise_error()
        adapter = _RESULT if isinstance(entry, ResultEntry) else _COMPLETION
        line = adapter.dump_json(entry) + b"\n"
        try:
            with _as_output_error(self.path):
                written = self._file.write(line)
            if written != len(line):
                raise OutputError(f"{self.path}: cannot be written: the disk is full")
        except OutputError as error:
            self._error = error
            self._raise_error()
        self._dirty.set()
        begin, self._end = self._end, self._end + len(line)
        return begin

    def close(self) -> None:
        """Sync the journal to the disk, close it and release the run.

        Raises:
            OutputError: a sync failed, and `append` has not reported it.
        """
        self._closing.set()
        self._dirty.set()
        self._syncing.join()
        try:
            if not self._error_raised:
                self._raise_error()
                self._sync()
        finally:
            self._file.close()
            self._lock.close()

    def _raise_error(self) -> None:
        """Raise the error if there was one: a disk that failed may report success afterwards."""
        if self._error is not None:
            self._error_raised = True
            raise self._error

    def _sync(self) -> None:
        with _as_output_error(self.path):
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
                self._error = error
                return

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def scan(path: Path, on_damage: Callable[[str], None]) -> Iterator[tuple[int, Entry]]:
    """Yield the entries of a journal in their order, each with the byte offset of its line.

    A line that is torn, damaged or of an unknown version is skipped, and `on_damage` receives a
    warning of one line.
    """
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                entry = parse_entry(from_json(line))
            except ValidationError:
                on_damage(f"{path}:{number}: not a line of this version, skipped")
            except ValueError:
                if line.strip():
                    on_damage(f"{path}:{number}: damaged line, skipped")
            else:
                yield offset, entry
            offset += len(line)


def read_entry(file: BinaryIO, offset: int) -> Entry:
    """Return the entry whose line begins at this byte, an offset that `scan` has yielded."""
    file.seek(offset)
    return parse_entry(from_json(file.readline()))


def read(path: Path, on_damage: Callable[[str], None]) -> Iterator[Entry]:
    """Yield the entries of a journal in their order; damage as in `scan`."""
    for _, entry in scan(path, on_damage):
        yield entry


def rows(path: Path, on_damage: Callable[[str], None]) -> Iterator[Row]:
    """Yield the rows of a journal in their order; damage as in `scan`."""
    for entry in read(path, on_damage):
        if isinstance(entry, ResultEntry):
            yield entry.row


def parse_entry(data: Any) -> Entry:
    """Return the entry of a line from its JSON data.

    Raises:
        ValidationError: the data is no entry.
    """
    if not isinstance(data, dict):
        return _COMPLETION.validate_python(data)
    if not JOURNAL_LINE.fields.keys().isdisjoint(data):
        data = with_current_names(data, JOURNAL_LINE)
    row = data.get("row")
    if isinstance(row, dict) and not row.keys() >= _MISSING_COLUMNS.keys():
        data = {**data, "row": {**_MISSING_COLUMNS, **row}}
    return _with_possible_counts((_RESULT if "row" in data else _COMPLETION).validate_python(data))


def _with_possible_counts(entry: Entry) -> Entry:
    """Return an entry with null for the token counts that no table holds.

    Earlier versions wrote the counts as the server sent them.
    """
    counts: Row | Usage = entry.row if isinstance(entry, ResultEntry) else entry.completion.usage
    huge = [name for name in _COUNTS if (getattr(counts, name) or 0) > MAX_INTEGER]
    if not huge:
        return entry
    nulls: dict[str, Any] = dict.fromkeys(huge)
    if isinstance(entry, ResultEntry):
        return replace(entry, row=replace(entry.row, **nulls))
    usage = replace(entry.completion.usage, **nulls)
    return replace(entry, completion=replace(entry.completion, usage=usage))


def _is_torn(path: Path) -> bool:
    """True if a journal ends within a line, as after a crash or on a full disk."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    """Turn an OSError into an OutputError that names the file."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
