"""The texts that a run has kept of an attempt, found by the attempt's row."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llmbench.completions import Completion
from llmbench.events import ignore
from llmbench.records import AttemptKey, Row, Target
from llmbench.store import journal
from llmbench.store.run_dir import attempt_dir

ANSWER, REASONING, LOG = "answer.md", "reasoning.md", "log.txt"
"""The names of the texts that are kept beside the code."""

_DISTINCTIVE = ("problem_sha256", "outcome", "llm_seconds", "ttft_seconds", "log_head")


@dataclass(frozen=True, slots=True)
class AttemptArtifacts:
    """The artifacts of one attempt.

    `work` is the folder of its run, None if it was not found. `completion` comes from the journal.
    `files` are texts by name from the folder of the attempt, which people may have emptied.
    """

    work: Path | None = None
    completion: Completion | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def find_artifacts(
    rows: Sequence[Row], folders: Iterator[Path]
) -> Iterator[tuple[int, AttemptArtifacts]]:
    """Yield the artifacts of attempts, each with the index of its row in `rows`, in no order.

    They come from the first of the run `folders` that has the attempt. An attempt that no folder
    has is skipped. Each journal is read once, and none after the last attempt is found.
    """
    indexes = {_match_key(row): index for index, row in enumerate(rows)}
    for folder in folders:
        path = folder / journal.NAME
        completions: dict[AttemptKey, int] = {}  # offsets: the texts stay in the file
        try:
            for offset, entry in journal.scan(path, ignore):
                if isinstance(entry, journal.CompletionEntry):
                    completions[entry.key] = offset
                    continue
                index = indexes.pop(_match_key(entry.row), None)
                if index is not None:
                    completion = _completion(path, completions.get(_key(entry.row)))
                    files = _files(folder, entry.row, completion)
                    yield index, AttemptArtifacts(folder, completion, files)
        except OSError:
            continue
        if not indexes:
            return


def work_folders(beside: Path, roots: tuple[Path, ...]) -> Iterator[Path]:
    """Yield the folders where the run of a result may have worked.

    `beside`, the folder of the result file, comes first. Then come the folders in each of `roots`,
    which hold one folder per run, the newest first.
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
    """Return a key that no attempt of another run shares: measured times never repeat."""
    return (*_key(row), *(getattr(row, name) for name in _DISTINCTIVE))


def _files(work: Path, row: Row, completion: Completion | None) -> dict[str, str]:
    """Return the texts of an attempt by name.

    Earlier versions let targets share a folder: there, only files beside the same answer count.
    """
    target = Target(row.provider, row.model, "")
    slug, attempt = target.slug, (row.problem_id, row.run, row.round)
    files = _texts(work, work / attempt_dir(slug, *attempt))
    former_slug = re.sub(r"[^A-Za-z0-9._-]+", "_", target.label).strip(".")
    if files or former_slug == slug:
        return files
    files = _texts(work, work / attempt_dir(former_slug, *attempt))
    answer = None if completion is None else completion.text.encode("utf-8", "replace").decode()
    return files if files.get(ANSWER) == answer else {}


def _texts(work: Path, folder: Path) -> dict[str, str]:
    # The names in a result file may lead out of the run's folder.
    if not folder.is_dir() or not folder.resolve().is_relative_to(work.resolve()):
        return {}
    return {
        path.name: path.read_bytes().decode("utf-8", "replace")
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.is_symlink()
    }
