"""The folders of runs in a work folder: what they hold, and their removal."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from llmbench.errors import OutputError, UsageError
from llmbench.events import ignore
from llmbench.store import journal, lock, provenance


class RunState(StrEnum):
    """The progress of a run."""

    RUNNING = "running"
    """A process writes it."""
    COMPLETE = "complete"
    """Every attempt of its plan has a result."""
    UNFINISHED = "unfinished"
    """Attempts are missing: --resume continues it."""
    UNKNOWN = "unknown"
    """It has no readable record."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder; `start` is the time of its first part in UTC, empty if unknown.

    `attempts` is the number that have a result, `planned` that of the plan, None if unknown.
    `sweep_step` names the step of a sweep that the run was. `size` is in bytes.
    """

    path: Path
    state: RunState
    start: str
    targets: tuple[str, ...]
    attempts: int
    planned: int | None
    sweep_step: str | None
    size: int


def find_runs(root: Path) -> Iterator[RunFolder]:
    """Yield the runs in a work folder, the oldest first."""
    for path in sorted(folder for folder in root.glob("*") if _is_run(folder)):
        yield inspect(path)


def inspect(path: Path) -> RunFolder:
    """Return what is known about the run in a folder."""
    size = 0
    for file in path.rglob("*"):
        with suppress(OSError):  # a running run may remove it meanwhile
            size += file.lstat().st_size if not file.is_dir() else 0
    done = _results(path / journal.NAME)
    try:
        record = provenance.read(path)
    except UsageError:
        state = RunState.RUNNING if lock.is_held(path) else RunState.UNKNOWN
        return RunFolder(path, state, "", (), done, None, None, size)
    targets = [t for endpoint in record["plan"]["endpoints"] for t in endpoint["targets"]]
    planned = _planned(record, len(targets))
    if record.get("options") is None and "commands" not in record:
        planned = None  # it graded answers from a file, which need not be so many
    ended = record["sessions"][-1].get("end") is not None if planned is None else done >= planned
    state = RunState.COMPLETE if ended else RunState.UNFINISHED
    return RunFolder(
        path,
        RunState.RUNNING if lock.is_held(path) else state,
        _start(record),
        tuple(f"{target['provider']}/{target['model']}" for target in targets),
        done,
        planned,
        record["sweep_step"],
        size,
    )


def sweep_steps(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the runs in a work folder that were steps of a sweep, each with the step's name."""
    for path in sorted(root.glob(f"*/{provenance.NAME}")):
        with suppress(UsageError):  # without a readable record it is not one of ours
            step = provenance.read(path.parent)["sweep_step"]
            if step is not None:
                yield path.parent, step


def remove(path: Path) -> None:
    """Remove the folder of a run.

    Raises:
        OutputError: a process writes the run, or a file cannot be removed.
    """
    if lock.is_held(path):
        raise OutputError(f"{path}: a process is writing this run", hint="wait for it, or end it")
    try:
        shutil.rmtree(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed: {error.strerror}") from None


def _is_run(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    return any((folder / name).exists() for name in (provenance.NAME, journal.NAME))


def _planned(record: dict[str, Any], targets: int) -> int | None:
    """The attempts of a run, None if unknown; with `--until` those that it needed in the end."""
    plan, needed = record["plan"], record["sessions"][-1].get("runs_needed")
    if isinstance(needed, dict) and all(type(runs) is int for runs in needed.values()):
        return sum(needed.values()) * len(plan["problems"])
    runs = plan.get("runs")
    return targets * len(plan["problems"]) * runs if type(runs) is int else None


def _start(record: dict[str, Any]) -> str:
    start = record["sessions"][0].get("start")
    return start if isinstance(start, str) else ""


def _results(path: Path) -> int:
    """Return how many first answers have a result in a journal."""
    keys = set()
    with suppress(OSError):
        for _, entry in journal.scan(path, ignore):
            if isinstance(entry, journal.ResultEntry) and entry.row.round == 1:
                row = entry.row
                keys.add((row.target, row.problem_id, row.run))
    return len(keys)
