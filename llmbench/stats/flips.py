"""Problems whose own result changed, and whether chance explains that it did."""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from llmbench.stats.within import Passes, passes_after

FALSE_DISCOVERIES = 0.1
"""Expected share of chance among the findings of one direction, at most."""

CHANGES = ("broken", "worse", "newly flaky", "partly fixed", "better", "fixed")
"""The kinds of changes of a problem, the worst first."""

_NEVER, _SOMETIMES, _ALWAYS = range(3)
_ROUNDING = 1e-9
_Sums = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Flip:
    """A problem whose result changed.

    Attributes:
        index: its place in the sequence of problems.
        change: one of `CHANGES`. `broken` never passes now, `newly flaky` always passed before,
            `partly fixed` never passed before, `fixed` always passes now; `worse` and `better` pass
            sometimes, before and now.
        p_value: one-sided, of Fisher's exact test of this problem alone, in the direction of the
            change.
        is_finding: True if the change survives the control of false discoveries.
    """

    index: int
    change: str
    p_value: float
    is_finding: bool


def find_flips(problems: Sequence[Passes]) -> list[Flip]:
    """Return the problems that moved between never, sometimes and always passing, the worst first.

    Those that passed sometimes before and now are listed only as findings. Each direction is a
    family of one-sided tests, whose false discoveries are controlled by the step-up procedure for
    discrete tests of Döhler, Durand & Roquain 2018, "New FDR bounds for discrete and heterogeneous
    tests" (DBH-SU). It knows that a problem of few runs, or one that always ends alike, cannot have
    a small p-value, and does not count it as a test that could have failed by chance.
    """
    flips = []
    worse, better = _test(problems), _test([problem.reversed for problem in problems])
    for index, problem in enumerate(problems):
        change = _change(problem)
        if change is not None:
            rises = problem.after * problem.runs_before > problem.before * problem.runs_after
            p_values, highest = better if rises else worse
            p_value = p_values[index]
            flip = Flip(index, change, p_value, p_value <= highest + _ROUNDING)
            if flip.is_finding or change not in ("worse", "better"):
                flips.append(flip)
    return sorted(flips, key=lambda flip: CHANGES.index(flip.change))


def flips_by_chance(problems: Sequence[Passes]) -> float:
    """Return how many problems chance alone moves between never, sometimes and always passing.

    It is the expected number if each problem passes as often as before, given its passes on both
    sides together.
    """
    expected = 0.0
    for problem in problems:
        passed = problem.before + problem.after
        for after, probability in enumerate(passes_after(problem)):
            before = _state(passed - after, problem.runs_before)
            expected += probability * (before != _state(after, problem.runs_after))
    return expected


def _state(passed: int, runs: int) -> int:
    return _NEVER if passed <= 0 else _ALWAYS if passed >= runs else _SOMETIMES


def _change(problem: Passes) -> str | None:
    before = _state(problem.before, problem.runs_before)
    after = _state(problem.after, problem.runs_after)
    if before == after:
        if problem.before * problem.runs_after == problem.after * problem.runs_before:
            return None
        rises = problem.after * problem.runs_before > problem.before * problem.runs_after
        return "better" if rises else "worse"
    if after == _SOMETIMES:
        return "newly flaky" if before == _ALWAYS else "partly fixed"
    return "broken" if after == _NEVER else "fixed"


def _test(problems: Sequence[Passes]) -> tuple[list[float], float]:
    """Return the p-value of each problem having become worse, and the highest that is a finding.

    It is negative if there is no finding.
    """
    attainable = [_cumulated(passes_after(problem)) for problem in problems]
    p_values = [sums[p.after] for sums, p in zip(attainable, problems, strict=True)]
    kinds = Counter(attainable)
    levels = sorted({p for sums in kinds for p in sums})
    # The highest level that could hold if every problem were a finding.
    limit = bisect_left(levels, True, key=lambda level: _chance(kinds, level) > len(problems)) - 1
    if limit >= 0:
        for level in sorted({p for p in p_values if p <= levels[limit]}, reverse=True):
            findings = sum(p <= level + _ROUNDING for p in p_values)
            if _chance(kinds, level, levels[limit]) <= findings:
                return p_values, level
    return p_values, -1.0


def _chance(kinds: Mapping[_Sums, int], level: float, limit: float | None = None) -> float:
    """Return how many findings at this level suffice for the chance in them.

    `kinds` holds the p-values that a problem can attain, and the number of such problems.
    """
    total = 0.0
    for sums, count in kinds.items():
        possible = 1 - _probability_up_to(level if limit is None else limit, sums)
        if possible < _ROUNDING:
            return math.inf
        total += count * _probability_up_to(level, sums) / possible
    return total / FALSE_DISCOVERIES


def _cumulated(probabilities: Sequence[float]) -> _Sums:
    """Return the p-value of each number of passes after, 0..runs."""
    return tuple(min(1.0, total) for total in accumulate(probabilities))


def _probability_up_to(level: float, sums: _Sums) -> float:
    """Return the probability that the p-value of a problem is at most `level`."""
    place = bisect_right(sums, level + _ROUNDING)
    return sums[place - 1] if place else 0.0
