"""`--until`: how many runs of each problem a target needs, decided by the rows that it has.

A target gets `FIRST_RUNS` runs of each problem, then one run of all its problems after another,
until the interval of its pass rate is narrow enough. All problems get equally many runs: more runs
for those alone that passed sometimes would bias the rate, because a problem whose first runs ended
alike by luck would keep its extreme rate (`scripts/benchmarks/until.py` shows how much).

Nothing is remembered: each decision follows from the rows, so that a resumed run decides the same.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from llmbench.plan import FIRST_RUNS, EndpointPlan, Plan, attempts_of
from llmbench.records import Attempt, AttemptKey
from llmbench.store.journal_index import JournalIndex


class Until:
    """The decisions of a run; `results` holds the hash of each row of the plan.

    Without `until` in the plan, every target needs all runs.
    """

    def __init__(self, plan: Plan, index: JournalIndex, results: Mapping[AttemptKey, str]) -> None:
        self._plan = plan
        self._index = index
        self._results = results

    @property
    def size(self) -> int:
        """The number of attempts that are needed as far as the rows tell, repairs not counted."""
        if self._plan.until is None:
            return self._plan.size
        return sum(self.runs_needed().values()) * len(self._plan.problems)

    def needed(self, attempts: Iterable[Attempt]) -> Iterator[Attempt]:
        """Yield those of the plan's attempts that are needed as far as the rows tell."""
        if self._plan.until is None:
            yield from attempts
            return
        runs = self.runs_needed()
        yield from (attempt for attempt in attempts if attempt.run <= runs[attempt.target.label])

    def runs_needed(self) -> dict[str, int]:
        """Return the runs of each problem that are needed as far as the rows tell, by target."""
        return {target.label: self._needed(target.label) for target in self._plan.targets}

    def rounds(self, endpoint: EndpointPlan) -> Iterator[Iterator[Attempt]]:
        """Yield the attempts at a server, in groups that run one after the other.

        Whether a target is in a group is decided when the group begins. A run that is added begins
        with the problems whose runs disagree.
        """
        problems, most = self._plan.problems, self._plan.runs
        first = min(FIRST_RUNS, most)
        for targets in endpoint.target_groups:
            yield attempts_of(targets, problems, range(1, first + 1))
            for run in range(first + 1, most + 1):
                further = [t for t in targets if self._needed(t.label) >= run]
                if not further:
                    break
                yield iter(sorted(attempts_of(further, problems, [run]), key=self._agrees))

    def report(self) -> Iterator[str]:
        """Yield what the decisions saved, and how narrow the interval of each target is."""
        until, most = self._plan.until, self._plan.runs
        if until is None:
            return
        saved, lines = 0, []
        for label, runs in self.runs_needed().items():
            margin = self._margin(label, runs)
            if margin is None or not self._is_complete(label, runs):
                lines.append(f"{label}: not decided, because attempts have no result")
                continue
            saved += (most - runs) * len(self._plan.problems)
            within = f"{label} is within ± {math.ceil(margin * 10) / 10:g} points"
            if margin <= until:
                lines.append(f"{within} after {runs} of at most {most} runs")
            else:
                lines.append(f"{within} only, after all {most} runs")
        yield f"--until {until:g}: {saved} of {self._plan.size} attempts were not needed"
        yield from lines

    def _needed(self, label: str) -> int:
        """Return the runs that a target needs: those that it has begun, or one more."""
        until, most = self._plan.until, self._plan.runs
        if until is None:
            return most
        begun = max((key.run for key in self._results if key.target == label), default=0)
        runs = min(most, max(FIRST_RUNS, begun))
        if runs == most or not self._is_complete(label, runs):
            return runs
        margin = self._margin(label, runs)
        return runs if margin is not None and margin <= until else runs + 1

    def _is_complete(self, label: str, runs: int) -> bool:
        return all(
            AttemptKey(label, problem.id, run, 1) in self._results
            for problem in self._plan.problems
            for run in range(1, runs + 1)
        )

    def _margin(self, label: str, runs: int) -> float | None:
        """Return how far the interval reaches from the pass rate, in points; None without one."""
        tallies = [self._tally(label, problem.id, runs) for problem in self._plan.problems]
        scored = [(passes, count) for passes, count in tallies if count]
        if not scored:
            return None
        from llmbench import stats  # slow to import, and seldom needed before the end of a run

        passes, counts = zip(*scored, strict=True)
        return 100 * stats.margin(passes, counts)

    def _agrees(self, attempt: Attempt) -> bool:
        """True if the earlier runs of the attempt's problem ended alike."""
        passes, count = self._tally(attempt.target.label, attempt.problem.id, attempt.run - 1)
        return passes in (0, count)

    def _tally(self, label: str, problem_id: str, runs: int) -> tuple[int, int]:
        """Return the passes and the scored runs of a problem, among its first `runs` runs."""
        keys = (AttemptKey(label, problem_id, run, 1) for run in range(1, runs + 1))
        hashes = [self._results[key] for key in keys if key in self._results]
        scored = [each for each in hashes if self._index.is_done(each)]
        return sum(not self._index.is_failed(each) for each in scored), len(scored)
