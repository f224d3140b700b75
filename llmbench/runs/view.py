"""One reading of a run: its plan beside its journal, kept up to date while the run goes on."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from llmbench import prompts
from llmbench.attempt import Prompter
from llmbench.fingerprint import Fingerprint
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import Attempt, AttemptKey, Row
from llmbench.runs.until import Until
from llmbench.store.journal import Entry, ResultEntry
from llmbench.store.journal_index import JournalIndex


class Remaining(NamedTuple):
    """The attempts that an earlier part of a run left, by what is done with them.

    `done` have a result. `to_grade` have an answer and no result. `to_ask` have neither; `targets`
    are the labels of their targets, and with `until` of those that may need more runs.
    """

    done: int
    to_grade: int
    to_ask: int
    targets: frozenset[str]


class Change(NamedTuple):
    """An attempt that is repeated because something changed, and whether it is only graded."""

    attempt: Attempt
    problem_changed: bool
    only_graded: bool


class RunView:
    """The rows of a run, its repairs, and what is missing of both.

    The journal may hold results of other parameters or of changed problems: only those whose hash
    is that of an attempt of the plan count.
    """

    def __init__(self, plan: Plan, prompter: Prompter, index: JournalIndex) -> None:
        self.plan = plan
        self.index = index
        self._prompter = prompter
        self._results: dict[AttemptKey, str] = {}  # result hash of each row of the plan
        self._known = frozenset(index.problems)
        self.until = Until(plan, index, self._results)

    # ---- Reading ---------------------------------------------------------------------------

    def rows(self) -> Iterator[Row]:
        """Yield the row of each attempt that has one, by target, language, problem and run."""
        yield from self._rows(lambda key: [key])

    def repairs(self) -> Iterator[Row]:
        """Yield the rows of repairs, in the same order."""
        yield from self._rows(lambda key: list(self._rounds_of(key))[1:])

    def missing(self) -> Counter[str]:
        """Count the attempts without a row, by the label of their target."""
        keys = (attempt.key for attempt in self.until.needed(self.plan.ordered()))
        return Counter(key.target for key in keys if key not in self._results)

    def missing_repairs(self) -> Counter[str]:
        """Count the answers whose repair is due and has no row, by the label of their target."""
        if not self.plan.max_repairs:
            return Counter()
        keys = (attempt.key for attempt in self.plan.ordered())
        return Counter(key.target for key in keys if self._repair_is_due(key))

    def _rows(self, keys_of: Callable[[AttemptKey], list[AttemptKey]]) -> Iterator[Row]:
        with self.index.rows() as find:
            for attempt in self.plan.ordered():
                for key in keys_of(attempt.key):
                    row = find(self._results[key]) if key in self._results else None
                    if row is not None:
                        yield row

    def _rounds_of(self, key: AttemptKey) -> Iterator[AttemptKey]:
        """Yield the keys of an attempt's rounds that have a row, in their order."""
        for number in range(1, self.plan.max_repairs + 2):
            round_key = key._replace(round=number)
            if round_key not in self._results:
                return
            yield round_key

    def _is_done(self, key: AttemptKey) -> bool:
        """True when the last round of an attempt has a result, and no repair is due."""
        rounds = list(self._rounds_of(key))
        if not rounds or self._repair_is_due(key):
            return False
        return self.index.is_done(self._results[rounds[-1]])

    def _repair_is_due(self, key: AttemptKey) -> bool:
        rounds = list(self._rounds_of(key))
        if not rounds or len(rounds) > self.plan.max_repairs:
            return False
        return self.index.is_failed(self._results[rounds[-1]])

    # ---- Writing ---------------------------------------------------------------------------

    def add(self, offset: int, entry: Entry) -> None:
        """Take in an entry that the run has just written at this byte of its journal."""
        self.index.add(offset, entry)
        if isinstance(entry, ResultEntry):
            row = entry.row
            key = AttemptKey(row.target, row.problem_id, row.run, row.round)
            self._results[key] = entry.result_hash

    # ---- Resuming --------------------------------------------------------------------------

    def resume(self, on_change: Callable[[Change], None]) -> Remaining:
        """Match the plan with the results of earlier parts of the run.

        `on_change` is called for each attempt that is repeated although it has a result.
        """
        counts: Counter[str] = Counter()
        targets = set()
        if self.plan.until is not None:  # the rows there are decide which attempts are needed
            for attempt in self.plan.attempts():
                self._match(attempt)
        for attempt in self.until.needed(self.plan.attempts()):
            last, hashes = self._match(attempt)
            if self.index.is_done(hashes.result_hash):
                counts["done"] += 1
                continue
            answered = self.index.is_answered(hashes.request_hash)
            counts["to_grade" if answered else "to_ask"] += 1
            if not answered or self.plan.until is not None:
                targets.add(attempt.target.label)
            if self._is_repeated(last, hashes):
                before = self.index.problems[last.key]
                changed = before not in (None, last.problem.sha256)
                on_change(Change(last, changed, answered))
        return Remaining(counts["done"], counts["to_grade"], counts["to_ask"], frozenset(targets))

    def outside_plan(self) -> int:
        """Count the attempts of earlier parts that are not in the plan any more."""
        first_answers = sum(key.round == 1 for key in self._known)
        return first_answers - sum(a.key in self._known for a in self.plan.attempts())

    def workloads(self) -> Iterator[tuple[EndpointPlan, Iterator[Iterator[Attempt]]]]:
        """Yield each endpoint with the attempts that remain there, group by group."""
        for endpoint, groups in self.plan.workloads():
            rounds = groups if self.plan.until is None else self.until.rounds(endpoint)
            yield endpoint, map(self._remaining, rounds)

    def _remaining(self, attempts: Iterable[Attempt]) -> Iterator[Attempt]:
        """Yield the round to make of each attempt that has no result."""
        for attempt in attempts:
            if not self._is_done(attempt.key):
                yield self._match(attempt)[0] if self._known else attempt

    def _match(self, attempt: Attempt) -> tuple[Attempt, Fingerprint]:
        """Note the results of an attempt's rounds; returns the last round, done or to be done."""
        hashes = self._prompter.fingerprint(attempt)
        while self.index.has_row(hashes.result_hash):
            self._results[attempt.key] = hashes.result_hash
            if attempt.round > self.plan.max_repairs:
                break
            if not self.index.is_failed(hashes.result_hash):
                break
            row = self.index.row(hashes.result_hash)
            completion = self.index.completion(hashes.request_hash)
            if row is None or completion is None:  # its line is damaged and was reported
                break
            attempt = prompts.repair_attempt(attempt, completion.text, row)
            hashes = self._prompter.fingerprint(attempt)
        return attempt, hashes

    def _is_repeated(self, attempt: Attempt, hashes: Fingerprint) -> bool:
        """True for an attempt that has a result which does not count any more."""
        key = attempt.key
        if key not in self.index.problems or self.index.has_row(hashes.result_hash):
            return False
        only_answered = self.index.problems[key] is None
        return not (only_answered and self.index.is_answered(hashes.request_hash))
