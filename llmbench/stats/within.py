"""Tests of whether the same problems still pass as often: runs are permuted within each problem.

Under the null hypothesis each problem passes with the same probability before and after, whatever
it is, so that its runs could as well have been swapped between the two. The test says nothing about
other problems; `sign_flip` does, and needs many problems for it.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmbench.stats.paired import PValue

EXACT_TERMS = 100_000_000
"""Most terms of the convolution for which every permutation is counted."""

PERMUTATIONS = 100_000
"""Permutations that are drawn where they cannot all be counted."""


class Passes(NamedTuple):
    """Scored runs and passes of one problem, before and after."""

    runs_before: int
    before: int
    runs_after: int
    after: int

    @property
    def reversed(self) -> "Passes":
        """The same problem with before and after swapped."""
        return Passes(self.runs_after, self.after, self.runs_before, self.before)


def fewer_passes(problems: Sequence[Passes]) -> PValue:
    """Return the one-sided p-value of these problems passing less often than before.

    The statistic is the mean over problems of the difference of the pass rates. Given the passes of
    a problem on both sides together, those after are hypergeometric. The distribution of the sum
    over problems is their convolution, which is exact. Permutations are drawn (with a fixed seed)
    only where unequal numbers of runs make too many different sums. The observed one counts as
    drawn (Phipson & Smyth 2010). For one problem this is Fisher's exact test.
    """
    free = [p for p in problems if 0 < p.before + p.after < p.runs_before + p.runs_after]
    if not free:
        return PValue(1.0, True)
    scale = math.lcm(*(n for p in free for n in (p.runs_before, p.runs_after)))
    steps = [scale // p.runs_before + scale // p.runs_after for p in free]
    unit = math.gcd(*steps)
    steps = [step // unit for step in steps]
    observed = sum(step * p.after for step, p in zip(steps, free, strict=True))
    size = sum(step * p.runs_after for step, p in zip(steps, free, strict=True)) + 1
    terms = sum(min(p.runs_before, p.runs_after) + 1 for p in free)
    if size * terms <= EXACT_TERMS:
        return PValue(min(1.0, _probability_up_to(observed, size, steps, free)), True)
    return PValue(_monte_carlo(observed, steps, free), False)


def passes_after(problem: Passes) -> tuple[float, ...]:
    """Return the probability of each number of passes after, 0..runs, under the null hypothesis."""
    return _hypergeometric(problem.runs_before, problem.runs_after, problem.before + problem.after)


@lru_cache(maxsize=4096)
def _hypergeometric(runs_before: int, runs_after: int, passed: int) -> tuple[float, ...]:
    ways = math.comb(runs_before + runs_after, passed)
    return tuple(
        math.comb(runs_after, after) * math.comb(runs_before, passed - after) / ways
        if after <= passed
        else 0.0
        for after in range(runs_after + 1)
    )


def _probability_up_to(
    observed: int, size: int, steps: Sequence[int], problems: Sequence[Passes]
) -> float:
    """Return the probability of a sum of at most `observed`."""
    sums: NDArray[np.float64] = np.zeros(size)
    sums[0], end = 1.0, 1
    for step, problem in sorted(zip(steps, problems, strict=True)):
        longer = np.zeros(end + step * problem.runs_after)
        for after, probability in enumerate(passes_after(problem)):
            if probability:
                longer[step * after : step * after + end] += probability * sums[:end]
        end = len(longer)
        sums[:end] = longer
    return float(sums[: observed + 1].sum())


def _monte_carlo(observed: int, steps: Sequence[int], problems: Sequence[Passes]) -> float:
    rng = np.random.default_rng(0)
    sums = np.zeros(PERMUTATIONS, dtype=np.float64)
    for step, problem in zip(steps, problems, strict=True):
        passed = problem.before + problem.after
        failed = problem.runs_before + problem.runs_after - passed
        sums += float(step) * rng.hypergeometric(passed, failed, problem.runs_after, PERMUTATIONS)
    # Sums that differ by rounding alone are as extreme as the observed one.
    extreme = int((sums <= float(observed) * (1 + 1e-12)).sum())
    return (extreme + 1) / (PERMUTATIONS + 1)
