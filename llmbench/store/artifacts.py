"""What a run kept of one attempt, found again from its row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llmbench.records import AttemptKey, Completion, Row, Target
from llmbench.store import journal
from llmbench.store.run_dir import attempt_dir

ANSWER, REASONING, LOG = "answer.md", "reasoning.md", "log.txt"
"""Names of the texts that are kept beside the code."""

_TELLING = ("problem_sha256", "outcome", "llm_seconds", "ttft_seconds", "log_head")


@dataclass(frozen=True, slots=True)
class AttemptArtifacts:
    """An attempt as it was kept: `work` is its run's folder, None where none has it.

    `completion` comes from the journal; `files` are texts by name from the attempt's own folder,
    which people may have emptied.
    """

    work: Path | None = None
    completion: Completion | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def find_artifacts(
    rows: Sequence[Row], folders: Iterator[Path]
) -> Iterator[tuple[int, AttemptArtifacts]]:
    """What is left of attempts, each with the place of its row in `rows`, in no order.

    Each is taken from the first of `folders` that has it; one that none has is left out. Each
    folder's journal is read once, and none after the last attempt was found.
    """
    wanted = {_match_key(row): place for place, row in enumerate(rows)}
    for folder in folders:
        path = folder / journal.NAME
        bought: dict[AttemptKey, int] = {}  # where it stands: texts stay in the file
        try:
            for offset, entry in journal.scan(path, _unheard):
                if isinstance(entry, journal.CompletionEntry):
                    bought[entry.key] = offset
                    continue
                place = wanted.pop(_match_key(entry.row), None)
                if place is not None:
                    completion = _completion(path, bought.get(_key(entry.row)))
                    yield place, AttemptArtifacts(folder, completion, _files(folder, entry.row))
        except OSError:
            continue
        if not wanted:
            return


def work_folders(beside: Path, roots: tuple[Path, ...]) -> Iterator[Path]:
    """Where the run behind a result may have worked: `beside` it, else in a root, newest first.

    `beside` is the folder of the result file; a root holds a folder per run.
    """
    yield beside
    for root in roots:
        if root.is_dir():
            yield from sorted((path for path in root.iterdir() if path.is_dir()), reverse=True)


def _completion(path: Path, offset: int | None) -> Completion | None:
    if offset is None:
        return None
    with path.open("rb") as file:
        entry = journal.read_entry(file, offset)
    return entry.completion if isinstance(entry, journal.CompletionEntry) else None


def _key(row: Row) -> AttemptKey:
    return AttemptKey(row.target, row.problem_id, row.run, row.round)


def _match_key(row: Row) -> tuple[object, ...]:
    """What is equal for the same attempt alone: a clock read twice shows two times."""
    return (*_key(row), *(getattr(row, name) for name in _TELLING))


def _files(work: Path, row: Row) -> dict[str, str]:
    target = Target(row.provider, row.model, "")
    folder = work / attempt_dir(target, row.problem_id, row.run, row.round)
    # A result from elsewhere may name a folder that is none of the run's.
    if not folder.is_dir() or not folder.resolve().is_relative_to(work.resolve()):
        return {}
    return {
        path.name: path.read_bytes().decode("utf-8", "replace")
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.is_symlink()
    }


def _unheard(_: str) -> None:
    """A damaged line is not the one that is looked for."""
