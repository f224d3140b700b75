"""Paired tests: two results of the same problems."""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmbench.stats.intervals import CONFIDENCE, Interval, clustered_error, t_interval, t_quantile

POWER = 0.8
"""Probability to detect a difference that is as large as the minimum detectable one."""

EXACT_SUMS = 20_000
"""Most different sums for which the permutation test counts every sign pattern."""

RESAMPLES = 20_000
"""Sign patterns that the permutation test draws where it cannot count all."""

_CHUNK = 2_000_000


class PValue(NamedTuple):
    """A two-sided p-value; `exact` is False where sign patterns were drawn (with a fixed seed)."""

    value: float
    exact: bool


def sign_flip(differences: Sequence[Fraction]) -> PValue:
    """Return the p-value of a paired permutation test, one difference per problem.

    Under the null hypothesis each problem's difference could as well have the other sign. All 2^G
    sign patterns are counted by their sum. That is exact, and quick because rates over N runs are
    fractions with few denominators. Only where there are too many sums are patterns drawn. The
    observed pattern counts as drawn, so that p is never 0 (Phipson & Smyth 2010).
    """
    scale = math.lcm(*(d.denominator for d in differences)) if differences else 1
    whole = [int(d * scale) for d in differences if d]
    observed, largest = abs(sum(whole)), sum(map(abs, whole))
    if largest < 2**62:
        distribution = _all_sums([abs(d) for d in whole])
        if distribution is not None:
            sums, probabilities = distribution
            return PValue(min(1.0, float(probabilities[np.abs(sums) >= observed].sum())), True)
    return PValue(_monte_carlo(np.array([float(d) for d in differences if d])), False)


def _all_sums(sizes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Return every sum of ± sizes with its probability, or None if there are too many."""
    sums = np.zeros(1, dtype=np.int64)
    probabilities: NDArray[np.float64] = np.ones(1)
    for size in sorted(sizes):
        both = np.concatenate([sums - size, sums + size])
        sums, indices = np.unique(both, return_inverse=True)
        doubled = np.bincount(indices, weights=np.concatenate([probabilities, probabilities]))
        probabilities = doubled.astype(np.float64) / 2
        if len(sums) > EXACT_SUMS:
            return None
    return sums, probabilities


def _monte_carlo(differences: NDArray[np.float64]) -> float:
    rng = np.random.default_rng(0)
    observed = abs(differences.sum())
    extreme, remaining, chunk = 0, RESAMPLES, max(1, _CHUNK // len(differences))
    while remaining > 0:
        signs = rng.integers(0, 2, size=(min(remaining, chunk), len(differences))) * 2 - 1
        # Sums that differ by rounding alone are as extreme as the observed one.
        extreme += int((np.abs(signs @ differences) >= observed - 1e-9).sum())
        remaining -= chunk
    return (extreme + 1) / (RESAMPLES + 1)


def mcnemar(only_baseline: int, only_candidate: int) -> float:
    """Return the p-value of McNemar's exact test, from the problems that only one result passed."""
    n, fewer = only_baseline + only_candidate, min(only_baseline, only_candidate)
    tail = Fraction(sum(math.comb(n, i) for i in range(fewer + 1)), 2**n)
    return min(1.0, float(2 * tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number (Holm 1979), in the order of the argument."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def difference_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of the mean of paired differences of rates (-1..1), one per problem.

    This is Student's interval. Where few problems differ from the rest, only they inform about the
    spread. Each then gives two degrees of freedom, as many as its own kurtosis leaves it
    (Satterthwaite 1946).

    Where all differences are equal, the spread is unknown rather than 0. It is then estimated as if
    one more problem had become wholly better and one wholly worse. For single runs this is Bonett &
    Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on
    paired data".
    """
    low, high = t_interval(_spread(differences), confidence, _df(differences))
    return Interval(max(-1.0, low), min(1.0, high))


def min_detectable_difference(
    differences: Sequence[float], confidence: float = CONFIDENCE, power: float = POWER
) -> float:
    """Return the smallest mean difference that a test detects with probability `power`.

    It follows from the spread of the observed differences, one per problem (Miller 2024, section
    5).
    """
    spread, df = _spread(differences), _df(differences)
    error = clustered_error(spread, [1] * len(spread))
    return (t_quantile((1 + confidence) / 2, df) + t_quantile(power, df)) * error


def _spread(differences: Sequence[float]) -> Sequence[float]:
    return [*differences, 1.0, -1.0] if len(set(differences)) == 1 else differences


def _df(differences: Sequence[float]) -> int:
    """Degrees of freedom of the spread."""
    largest = len(_spread(differences)) - 1
    different = len(differences) - max(Counter(differences).values())
    return min(largest, 2 * different or largest)


def min_p_value(problems: int) -> float:
    """Return the smallest possible p-value: every problem differs in the same direction."""
    return min(1.0, 2.0 ** (1 - problems))
