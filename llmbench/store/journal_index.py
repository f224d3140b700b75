"""What a journal already holds: where each answer and each row stands in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import intern

from llmbench.errors import OutputError
from llmbench.records import AttemptKey, Completion, Outcome, Row
from llmbench.store import journal
from llmbench.store.journal import CompletionEntry, Entry


class JournalIndex:
    """An index of a journal by the hashes of `identity`; texts stay in the file.

    `cost_usd` is what its answers, and tries that brought none, cost in USD. `problems` maps each
    attempt that has an answer or a row to its problem's hash as the latest row has it, None
    without one. Damage is told to `on_damage`.
    """

    def __init__(self, path: Path, on_damage: Callable[[str], None]) -> None:
        """Read a journal through.

        Raises:
            OutputError: it is not there, or cannot be read.
        """
        self._path = path
        self._bought: dict[str, int] = {}
        self._judged: dict[str, int] = {}
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
            self._bought[entry.request_hash] = offset
            self.cost_usd += entry.completion.cost_usd or 0.0
            self.problems.setdefault(_shared(*entry.key))
            return
        row = entry.row
        self._judged[entry.result_hash] = offset
        if row.outcome == Outcome.PROVIDER_ERROR:  # else its answer has the cost
            self.cost_usd += row.cost_usd or 0.0
        key = _shared(row.target, row.problem_id, row.run, row.round)
        self.problems[key] = intern(row.problem_sha256)
        for known, says in (
            (self._infrastructure, Outcome(row.outcome).is_infrastructure),
            (self._failed, row.passed is False),
        ):
            (known.add if says else known.discard)(entry.result_hash)

    def is_done(self, graded: str) -> bool:
        """True when it has a row that is no infrastructure error."""
        return graded in self._judged and graded not in self._infrastructure

    def is_failed(self, graded: str) -> bool:
        """True when it has a row that is scored and not passed."""
        return graded in self._failed

    def has_row(self, graded: str) -> bool:
        """True when it has a row of any kind."""
        return graded in self._judged

    def is_answered(self, asked: str) -> bool:
        """True when its answer is there."""
        return asked in self._bought

    def completion(self, asked: str) -> Completion | None:
        """The answer to it, if it is there."""
        if asked not in self._bought:
            return None
        with self._path.open("rb") as file:
            entry = journal.read_entry(file, self._bought[asked])
        return entry.completion if isinstance(entry, CompletionEntry) else None

    def row(self, graded: str) -> Row | None:
        """The latest row of it, if there is one."""
        with self.rows() as find:
            return find(graded)

    @contextmanager
    def rows(self) -> Iterator[Callable[[str], Row | None]]:
        """A look-up of the latest row by its hash, while the context lasts."""
        with self._path.open("rb") as file:

            def find(graded: str) -> Row | None:
                if graded not in self._judged:
                    return None
                entry = journal.read_entry(file, self._judged[graded])
                return None if isinstance(entry, CompletionEntry) else entry.row

            yield find


def _shared(target: str, problem_id: str, run: int, round_: int) -> AttemptKey:
    """A key whose texts are in memory once."""
    return AttemptKey(intern(target), intern(problem_id), run, round_)
