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
from llmbench.records import AttemptKey, Completion, Outcome, Row
from llmbench.store import files
from llmbench.store.lock import RunLock

NAME = "journal.jsonl"
SYNC_SECONDS = 1.0
"""How far the disk may be behind the journal."""


@dataclass(frozen=True, slots=True)
class Bought:
    """A completion is in: it is paid for. `asked` is the hash of all that was asked."""

    key: AttemptKey
    completion: Completion
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """An attempt has ended in its row. `graded` is the hash of all that decided it."""

    row: Row
    graded: str = ""


Entry = Bought | Judged


def _of_known_outcome(judged: Judged) -> Judged:
    Outcome(judged.row.outcome)
    return judged


_BOUGHT: TypeAdapter[Entry] = TypeAdapter(Bought)
_JUDGED: TypeAdapter[Entry] = TypeAdapter(Annotated[Judged, AfterValidator(_of_known_outcome)])


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
                for holding in (folder, *folder.absolute().parents[:2]):
                    files.sync_folder(holding)
        except OutputError:
            self._lock.close()
            raise
        self._syncing = threading.Thread(target=self._sync_often, name="journal", daemon=True)
        self._syncing.start()

    def append(self, entry: Entry) -> None:
        """Write one entry as one line.

        Raises:
            OutputError: the disk is full, or within SYNC_SECONDS has failed or the file was
                removed; what stands in it stays good, and nothing more is written.
        """
        self._check()
        adapter = _JUDGED if isinstance(entry, Judged) else _BOUGHT
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


def places(path: Path, on_damage: Callable[[str], None]) -> Iterator[tuple[int, Entry]]:
    """The entries of a journal in their order, each with the byte at which its line begins.

    A line that is torn, damaged or of another version costs that line alone, and `on_damage` hears
    of it in one line.
    """
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                found = entry(from_json(line))
            except ValidationError:
                on_damage(f"{path}:{number}: not a line of this version, left out")
            except ValueError:
                if line.strip():
                    on_damage(f"{path}:{number}: damaged line, left out")
            else:
                yield offset, found
            offset += len(line)


def entry_at(file: BinaryIO, offset: int) -> Entry:
    """The entry whose line begins at this byte, as `places` told."""
    file.seek(offset)
    return entry(from_json(file.readline()))


def read(path: Path, on_damage: Callable[[str], None]) -> Iterator[Entry]:
    """The entries of a journal in their order; damage as in `places`."""
    for _, found in places(path, on_damage):
        yield found


def rows(path: Path, on_damage: Callable[[str], None]) -> Iterator[Row]:
    """The rows of a journal in the order in which they came."""
    for each in read(path, on_damage):
        if isinstance(each, Judged):
            yield each.row


def entry(data: Any) -> Entry:
    """One entry from its line's JSON.

    Raises:
        ValidationError: it is none.
    """
    if isinstance(data, dict) and "row" in data:
        return _JUDGED.validate_python(data)
    return _BOUGHT.validate_python(data)


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
