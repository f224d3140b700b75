"""An index of a journal: the position of each completion and of each row, by hash."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import intern

from llmbench.completions import Completion
from llmbench.errors import OutputError
from llmbench.records import AttemptKey, Outcome, Row
from llmbench.store import journal
from llmbench.store.journal import CompletionEntry, Entry


class JournalIndex:
    """An index of a journal by the hashes of `fingerprint`. Texts stay in the file.

    `cost_usd` is the cost of all answers and failed requests in USD. `problems` maps each attempt
    that has an answer or a row to the hash of its problem in the latest row, None without a row.
    """

    def __init__(self, path: Path, on_damage: Callable[[str], None]) -> None:
        """Read a journal; `on_damage` receives a warning for each line that is skipped.

        Raises:
            OutputError: the journal is missing, or cannot be read.
        """
        self._path = path
        self._completions: dict[str, int] = {}
        self._results: dict[str, int] = {}
        self._failed: set[str] = set()
        self._infrastructure: set[str] = set()
        self.problems: dict[AttemptKey, str | None] = {}
        self.cost_usd = 0.0
        try:
            for offset, entry in journal.scan(path, on_damage):
                self.add(offset, entry)
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror}") from None

    def add(self, offset: int, entry: Entry) -> None:
        """Add an entry whose line begins at this byte."""
        if isinstance(entry, CompletionEntry):
            self._completions[entry.request_hash] = offset
            self.cost_usd += entry.completion.cost_usd or 0.0
            self.problems.setdefault(_interned(*entry.key))
            return
        row = entry.row
        self._results[entry.result_hash] = offset
        if row.outcome == Outcome.PROVIDER_ERROR:  # otherwise its completion has the cost
            self.cost_usd += row.cost_usd or 0.0
        key = _interned(row.target, row.problem_id, row.run, row.round)
        self.problems[key] = intern(row.problem_sha256)
        for hashes, belongs in (
            (self._infrastructure, Outcome(row.outcome).is_infrastructure),
            (self._failed, row.passed is False),
        ):
            (hashes.add if belongs else hashes.discard)(entry.result_hash)

    def is_done(self, result_hash: str) -> bool:
        """True if it has a row that is no infrastructure error."""
        return result_hash in self._results and result_hash not in self._infrastructure

    def is_failed(self, result_hash: str) -> bool:
        """True if it has a row that is scored and not passed."""
        return result_hash in self._failed

    def has_row(self, result_hash: str) -> bool:
        """True if it has a row of any kind."""
        return result_hash in self._results

    def is_answered(self, request_hash: str) -> bool:
        """True if the journal holds the answer to the request."""
        return request_hash in self._completions

    def completion(self, request_hash: str) -> Completion | None:
        """Return the answer to a request, None if there is none."""
        if request_hash not in self._completions:
            return None
        with self._path.open("rb") as file:
            entry = journal.read_entry(file, self._completions[request_hash])
        return entry.completion if isinstance(entry, CompletionEntry) else None

    def row(self, result_hash: str) -> Row | None:
        """Return the latest row, None if there is none."""
        with self.rows() as find:
            return find(result_hash)

    @contextmanager
    def rows(self) -> Iterator[Callable[[str], Row | None]]:
        """Yield a function that returns the latest row of a hash; valid within the context."""
        with self._path.open("rb") as file:

            def find(result_hash: str) -> Row | None:
                if result_hash not in self._results:
                    return None
                entry = journal.read_entry(file, self._results[result_hash])
                return None if isinstance(entry, CompletionEntry) else entry.row

            yield find


def _interned(target: str, problem_id: str, run: int, round_: int) -> AttemptKey:
    """Return a key whose texts share their memory with equal ones."""
    return AttemptKey(intern(target), intern(problem_id), run, round_)
