"""The truth of a run: one line when a completion is in, one when its row is."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from llmbench.errors import OutputError
from llmbench.records import AttemptKey, Completion, Row

NAME = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Bought:
    """A completion is in: it is paid for."""

    key: AttemptKey
    completion: Completion


@dataclass(frozen=True, slots=True)
class Judged:
    """An attempt has ended in its row."""

    row: Row


Entry = Bought | Judged

_BOUGHT: TypeAdapter[Entry] = TypeAdapter(Bought)
_JUDGED: TypeAdapter[Entry] = TypeAdapter(Judged)


class Journal:
    """Appends entries to a run's journal; each line reaches the system before the call returns."""

    def __init__(self, folder: Path) -> None:
        """Open the journal of the run that works in `folder`.

        Raises:
            OutputError: the folder cannot be written.
        """
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from None

    def append(self, entry: Entry) -> None:
        """Write one entry as one line.

        Raises:
            OutputError: the disk is full or the file is gone; what stands in it stays good.
        """
        adapter = _JUDGED if isinstance(entry, Judged) else _BOUGHT
        line = adapter.dump_json(entry) + b"\n"
        try:
            written = self._file.write(line)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from None
        if written != len(line):
            raise OutputError(f"{self.path}: the disk is full")

    def close(self) -> None:
        """Put the journal on the disk and close it."""
        os.fsync(self._file.fileno())
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path, on_damage: Callable[[str], None]) -> Iterator[Entry]:
    """The entries of a journal in their order.

    A line that is torn or damaged costs that line alone, and `on_damage` hears of it in one line;
    a torn last line is what a crash leaves, and passes without a word.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield entry(from_json(line))
            except (ValueError, ValidationError):
                if line.endswith(b"\n"):
                    on_damage(f"{path}:{number}: damaged line, left out")


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
