"""Answers that are there already: a file with one in each line, or the journal of a run."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from llmbench.errors import UsageError
from llmbench.records import Attempt, Completion, Outcome, Problem, Row, Sampling, Target
from llmbench.store import journal

PROVIDER = "answers"
"""Stands for the provider of answers whose line names a model alone."""

_Name = Annotated[str, Field(min_length=1, max_length=500)]


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """One answer in a file: raw text; who wrote it is `target`, `model`, or told elsewhere."""

    problem_id: str
    answer: str
    run: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    target: _Name | None = None
    model: _Name | None = None
    finish_reason: str | None = None


_LINE = TypeAdapter(AnswerLine)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An answer as it was found; no `completion` where a run asked and got none."""

    target: str
    problem_id: str
    run: int | None
    completion: Completion | None


@dataclass
class AnswerFile:
    """The answers of a file, read anew whenever they are wanted, so that few are in memory.

    `model` is who wrote what names nobody. Lines that are of no use are left out, counted in
    `faults`, and `hear` is told of each. `survey` fills the other fields; problems are those of
    `selected`, and an answer to another of the `known` is passed over.
    """

    path: Path
    model: str
    known: Mapping[str, Problem]
    selected: Collection[str]
    hear: Callable[[str], None]
    targets: dict[str, Target] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    faults: int = 0

    def survey(self) -> None:
        """Read all once: who wrote how many answers, to which problems, and what is wrong.

        Raises:
            UsageError: the file cannot be read.
        """
        for found, _ in self._usable(self._fault):
            self._meet(found.target)
            self.totals[found.target] += 1
            self.asked.add(found.problem_id)

    def attempts(self) -> Iterator[Attempt]:
        """Every answer with its attempt, in the order of the file; after `survey`."""
        for found, run in self._usable(_unheard):
            target, problem = self.targets[found.target], self.known[found.problem_id]
            yield Attempt(target, problem, run, found.completion)

    def _fault(self, line: str) -> None:
        self.faults += 1
        self.hear(line)

    def _usable(self, fault: Callable[[str], None]) -> Iterator[tuple[_Entry, int]]:
        """What can be graded, with the number of its run: that of the line, else the next free."""
        taken: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for number, found in self._lost_last(fault):
            runs = taken[found.target, found.problem_id]
            run = found.run or next(n for n in count(len(runs) + 1) if n not in runs)
            if found.problem_id not in self.known:
                fault(f"{self.path}:{number}: no problem has the id {found.problem_id!r}")
            elif run not in runs:
                runs.add(run)
                if found.problem_id in self.selected:
                    yield found, run
            elif found.completion is not None:
                what = f"run {run} of {found.problem_id} by {found.target}"
                fault(f"{self.path}:{number}: {what} was there before")

    def _lost_last(self, fault: Callable[[str], None]) -> Iterator[tuple[int, _Entry]]:
        """What stands in the file; last what got no answer, for it may have got one later."""
        lost = []
        for number, found in self._read(fault):
            if found.completion is None:
                lost.append((number, found))
            else:
                yield number, found
        yield from lost

    def _read(self, fault: Callable[[str], None]) -> Iterator[tuple[int, _Entry]]:
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    try:
                        found = self._found(from_json(line.removeprefix(b"\xef\xbb\xbf")))
                    except ValidationError as error:
                        fault(f"{self.path}:{number}: {_reason(error)}")
                    except ValueError as error:
                        fault(f"{self.path}:{number}: not JSON: {error}")
                    else:
                        if found is not None:
                            yield number, found
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read: {error.strerror}") from None

    def _found(self, data: Any) -> _Entry | None:
        """What a line says; None where it is a row that is told elsewhere, or of a later round."""
        if not isinstance(data, dict) or not ("row" in data or "completion" in data):
            return self._of_line(_LINE.validate_python(data))
        entry = journal.parse_entry(data)
        if isinstance(entry, journal.CompletionEntry):
            target, problem_id, run, round_ = entry.key
            return _Entry(target, problem_id, run, entry.completion) if round_ == 1 else None
        row = entry.row
        if row.round > 1:
            return None
        self._learn(row)
        if row.outcome == Outcome.PROVIDER_ERROR:
            return _Entry(row.target, row.problem_id, row.run, None)
        return None

    def _of_line(self, line: AnswerLine) -> _Entry:
        target = line.target or f"{PROVIDER}/{line.model or self.model}"
        target = target if "/" in target else f"{PROVIDER}/{target}"
        completion = Completion(line.answer, finish_reason=line.finish_reason, has_timings=False)
        return _Entry(target, line.problem_id, line.run, completion)

    def _meet(self, label: str) -> Target:
        if label not in self.targets:
            provider, _, model = label.partition("/")
            self.targets[label] = Target(provider, model, base_url="")
        return self.targets[label]

    def _learn(self, row: Row) -> None:
        """Take from a row what its answer does not tell: parameters, and the problem as it was."""
        target = self._meet(row.target)
        seed = None if row.seed is None else row.seed - row.run + 1
        told = Sampling(row.max_tokens, row.temperature, seed)
        known = target.sampling
        sampling = Sampling(
            known.max_tokens if told.max_tokens is None else told.max_tokens,
            known.temperature if told.temperature is None else told.temperature,
            known.seed if told.seed is None else told.seed,
        )
        self.targets[row.target] = replace(target, sampling=sampling)
        problem = self.known.get(row.problem_id)
        if problem is not None and problem.sha256 != row.problem_sha256:
            self.changed.add(row.problem_id)


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] in ("missing", "missing_argument"):
        return f"has no {where}"
    return f"{where}: {first['msg']}" if where else "is no answer: not a JSON object"


def _unheard(_: str) -> None:
    """What is wrong was told by the survey."""
