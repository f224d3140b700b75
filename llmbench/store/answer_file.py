"""Answers that exist already: a file with one answer per line, or the journal of a run."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from llmbench.completions import Completion
from llmbench.errors import UsageError
from llmbench.events import ignore
from llmbench.records import Attempt, Outcome, Problem, Row, Target
from llmbench.store import journal

_SAMPLING_COLUMNS = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "reasoning_effort",
    "params",
    "system_sha256",
)

PROVIDER = "answers"
"""The provider of answers whose line names a model only."""

_Name = Annotated[str, Field(min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """One answer in a file, as raw text. `target` or `model` names its author."""

    problem_id: str
    answer: str
    run: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    target: _Name | None = None
    model: _Name | None = None
    finish_reason: str | None = None


_LINE = TypeAdapter(AnswerLine)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An answer in a file of either kind; without a `completion`, the request for it failed."""

    target: str
    problem_id: str
    run: int | None
    completion: Completion | None


@dataclass
class AnswerFile:
    """The answers of a file, read again whenever they are needed, so that few are in memory.

    Attributes:
        path: The file.
        model: The author of answers that name none.
        known: All problems by id.
        selected: The ids of the problems to grade; answers to others are skipped silently.
        on_fault: Receives one line for each line of the file that cannot be graded.
        targets: The authors by label. `scan` fills this field and all that follow.
        totals: The number of answers of each target, by its label.
        problem_ids: The problems that have answers.
        changed: The problems that have changed since the run of the journal.
        faults: The number of lines that cannot be graded.
    """

    path: Path
    model: str
    known: Mapping[str, Problem]
    selected: Collection[str]
    on_fault: Callable[[str], None]
    targets: dict[str, Target] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    problem_ids: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    faults: int = 0

    def scan(self) -> None:
        """Read the whole file once: count the answers and report the lines with faults.

        Raises:
            UsageError: the file cannot be read.
        """
        for entry, _ in self._gradable(self._count_fault):
            self._target(entry.target)
            self.totals[entry.target] += 1
            self.problem_ids.add(entry.problem_id)

    def attempts(self) -> Iterator[Attempt]:
        """Yield every answer with its attempt, in the order of the file. Call `scan` first."""
        for entry, run in self._gradable(ignore):
            target, problem = self.targets[entry.target], self.known[entry.problem_id]
            yield Attempt(target, problem, run, entry.completion)

    def _count_fault(self, line: str) -> None:
        self.faults += 1
        self.on_fault(line)

    def _gradable(self, on_fault: Callable[[str], None]) -> Iterator[tuple[_Entry, int]]:
        """Yield the answers that can be graded, each with its run: its own or the next free."""
        runs_by_pair: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for number, entry in self._failures_last(on_fault):
            runs = runs_by_pair[entry.target, entry.problem_id]
            run = entry.run or next(n for n in count(len(runs) + 1) if n not in runs)
            if entry.problem_id not in self.known:
                on_fault(f"{self.path}:{number}: no problem has the id {entry.problem_id!r}")
            elif run not in runs:
                runs.add(run)
                if entry.problem_id in self.selected:
                    yield entry, run
            elif entry.completion is not None:
                duplicate = f"run {run} of {entry.problem_id} by {entry.target}"
                on_fault(f"{self.path}:{number}: an earlier line has {duplicate} already")

    def _failures_last(self, on_fault: Callable[[str], None]) -> Iterator[tuple[int, _Entry]]:
        """Yield the entries, failed requests last: a later line may hold the answer."""
        failures = []
        for number, entry in self._read(on_fault):
            if entry.completion is None:
                failures.append((number, entry))
            else:
                yield number, entry
        yield from failures

    def _read(self, on_fault: Callable[[str], None]) -> Iterator[tuple[int, _Entry]]:
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    try:
                        entry = self._parse(from_json(line.removeprefix(b"\xef\xbb\xbf")))
                    except ValidationError as error:
                        on_fault(f"{self.path}:{number}: {_reason(error)}")
                    except ValueError as error:
                        on_fault(f"{self.path}:{number}: not JSON: {error}")
                    else:
                        if entry is not None:
                            yield number, entry
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read: {error.strerror}") from None

    def _parse(self, data: Any) -> _Entry | None:
        """Return the entry of a line; None for repairs, and for rows, whose answer has a line."""
        if not isinstance(data, dict) or not ("row" in data or "completion" in data):
            return self._from_answer(_LINE.validate_python(data))
        entry = journal.parse_entry(data)
        if isinstance(entry, journal.CompletionEntry):
            target, problem_id, run, round_ = entry.key
            return _Entry(target, problem_id, run, entry.completion) if round_ == 1 else None
        row = entry.row
        if row.round > 1:
            return None
        self._update_sampling(row)
        problem = self.known.get(row.problem_id)
        if problem is not None and problem.sha256 != row.problem_sha256:
            self.changed.add(row.problem_id)
        if row.outcome == Outcome.PROVIDER_ERROR:
            return _Entry(row.target, row.problem_id, row.run, None)
        return None

    def _from_answer(self, line: AnswerLine) -> _Entry:
        target = line.target or f"{PROVIDER}/{line.model or self.model}"
        target = target if "/" in target else f"{PROVIDER}/{target}"
        completion = Completion(line.answer, finish_reason=line.finish_reason, has_timings=False)
        return _Entry(target, line.problem_id, line.run, completion)

    def _target(self, label: str) -> Target:
        """Return the target with this label, a new one if it is the first answer of it."""
        if label not in self.targets:
            self.targets[label] = Target.from_label(label)
        return self.targets[label]

    def _update_sampling(self, row: Row) -> None:
        """Set the sampling parameters that a row has; a completion does not hold them."""
        target = self._target(row.target)
        values = {name: getattr(row, name) for name in _SAMPLING_COLUMNS}
        values["seed"] = None if row.seed is None else row.seed - row.run + 1
        reported = {name: value for name, value in values.items() if value is not None}
        sampling = replace(target.sampling, **reported)
        self.targets[row.target] = replace(target, sampling=sampling)


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] in ("missing", "missing_argument"):
        return f"has no {where}"
    return f"{where}: {first['msg']}" if where else "is no answer: not a JSON object"
