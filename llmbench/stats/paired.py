"""Paired tests: the same problems, twice."""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmbench.stats.intervals import LEVEL, Interval, clustered_error, t_interval, t_quantile

POWER = 0.8
"""Chance to detect a difference as large as the one that a design is said to detect."""

EXACT_SUMS = 20_000
DRAWS = 20_000
_CHUNK = 2_000_000


class PValue(NamedTuple):
    """A two-sided p-value, and whether every case was counted (else drawn, with a fixed seed)."""

    value: float
    exact: bool


def sign_flip(differences: Sequence[Fraction]) -> PValue:
    """Permutation test by problem: could chance alone put the sum so far from 0?

    If two results do not differ, each problem's difference could as well have had the other sign.
    All 2^G sign patterns are counted by their sum, which is exact and quick, since rates over N
    runs are fractions with few denominators; only where the sums are too many are patterns drawn
    (the observed one counts as drawn, so that p is never 0: Phipson & Smyth 2010).
    """
    scale = math.lcm(*(d.denominator for d in differences)) if differences else 1
    whole = [int(d * scale) for d in differences if d]
    observed, largest = abs(sum(whole)), sum(map(abs, whole))
    if largest < 2**62:
        counted = _all_sums([abs(d) for d in whole])
        if counted is not None:
            sums, chances = counted
            return PValue(min(1.0, float(chances[np.abs(sums) >= observed].sum())), True)
    return PValue(_drawn(np.array([float(d) for d in differences if d])), False)


def _all_sums(sizes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Every sum of ± sizes with its chance; None where there are too many."""
    sums = np.zeros(1, dtype=np.int64)
    chances: NDArray[np.float64] = np.ones(1)
    for size in sorted(sizes):
        both = np.concatenate([sums - size, sums + size])
        sums, places = np.unique(both, return_inverse=True)
        doubled = np.bincount(places, weights=np.concatenate([chances, chances]))
        chances = doubled.astype(np.float64) / 2
        if len(sums) > EXACT_SUMS:
            return None
    return sums, chances


def _drawn(differences: NDArray[np.float64]) -> float:
    draws = np.random.default_rng(0)
    observed = abs(differences.sum())
    beyond, left, chunk = 0, DRAWS, max(1, _CHUNK // len(differences))
    while left > 0:
        code_patterns = draws.integers(0, 2, size=(min(left, chunk), len(differences))) * 2 - 1
        # Sums that are equal but for rounding are as far out as the observed one.
        beyond += int((np.abs(code_patterns @ differences) >= observed - 1e-9).sum())
        left -= chunk
    return (beyond + 1) / (DRAWS + 1)


def mcnemar(only_a: int, only_b: int) -> float:
    """McNemar's exact test: p-value from the problems that passed in one result alone."""
    n, fewer = only_a + only_b, min(only_a, only_b)
    tail = Fraction(sum(math.comb(n, i) for i in range(fewer + 1)), 2**n)
    return min(1.0, float(2 * tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number (Holm 1979), in the order in which they came."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def difference_interval(differences: Sequence[float], level: float = LEVEL) -> Interval:
    """Interval of the mean of paired differences of rates (-1..1), one per problem.

    Student's. Where few problems are unlike most, the spread is known from those few, each of which
    gives two degrees of freedom: as many as its own kurtosis leaves it (Satterthwaite 1946). Where
    all differences are equal their spread says nothing, yet is not certain to be nothing: then it
    is taken as if one more problem had become wholly better and one wholly worse (for single runs
    this is Bonett & Price 2012, "Adjusted Wald confidence interval for a difference of binomial
    proportions based on paired data").
    """
    low, high = t_interval(_spread(differences), level, _freedom(differences))
    return Interval(max(-1.0, low), min(1.0, high))


def min_detectable_difference(
    differences: Sequence[float], level: float = LEVEL, power: float = POWER
) -> float:
    """Smallest mean difference that would be found with probability `power`.

    From the spread of the differences seen, one per problem (Miller 2024, section 5).
    """
    spread, freedom = _spread(differences), _freedom(differences)
    error = clustered_error(spread, [1] * len(spread))
    return (t_quantile((1 + level) / 2, freedom) + t_quantile(power, freedom)) * error


def _spread(differences: Sequence[float]) -> Sequence[float]:
    return [*differences, 1.0, -1.0] if len(set(differences)) == 1 else differences


def _freedom(differences: Sequence[float]) -> int:
    """Degrees of freedom of the spread."""
    most = len(_spread(differences)) - 1
    unlike = len(differences) - max(Counter(differences).values())
    return min(most, 2 * unlike or most)


def min_p_value(problems: int) -> float:
    """Smallest p-value that so many problems can have, if each differs in the same direction."""
    return min(1.0, 2.0 ** (1 - problems))
