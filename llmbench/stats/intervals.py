"""Intervals and standard errors of rates and means, as plain numbers."""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist, fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95
"""Confidence level wherever none is named."""

RESAMPLES = 2000
_CHUNK = 500_000  # draws held at once by a bootstrap: 4 MB and little more, which caches like


class Interval(NamedTuple):
    """Bounds of a confidence interval, in the unit of what it bounds."""

    low: float
    high: float


def normal_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(probability)


@lru_cache(maxsize=4096)
def t_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution with whole degrees of freedom (1 or more).

    The distribution function is a finite sum (Abramowitz & Stegun 26.7.3 and 26.7.4), inverted by
    bisection over the angle arctan(t / sqrt(freedom)).
    """
    low, high = -math.pi / 2, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _student_cdf(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return math.tan((low + high) / 2) * math.sqrt(freedom)


def _student_cdf(angle: float, freedom: int) -> float:
    cosine = math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for n in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * (n - 1) / n
        total += term
    inside = math.sin(angle) * total
    return 0.5 + (angle + inside) / math.pi if odd else 0.5 + inside / 2


def wilson(passed: float, n: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a rate from `n` independent attempts (Wilson 1927)."""
    return _score_interval(passed / n, n, normal_quantile((1 + level) / 2))


def clustered_error(sums: Sequence[float], counts: Sequence[int]) -> float:
    """Standard error of a mean over all attempts, clustered by problem (Miller 2024, section 2.2).

    `sums` and `counts` hold one entry per problem: the sum over its attempts, and their number.
    The variance is scaled by G / (G - 1) for G problems (CR1), without which few problems would
    look more certain than they are; G must be 2 or more.
    """
    clusters, total = len(sums), sum(counts)
    mean = sum(sums) / total
    squares = sum((s - mean * n) ** 2 for s, n in zip(sums, counts, strict=True))
    return math.sqrt(clusters / (clusters - 1) * squares) / total


def clustered_interval(
    sums: Sequence[float], counts: Sequence[int], level: float = LEVEL
) -> Interval:
    """Interval of a rate over all attempts, clustered by problem; arguments as `clustered_error`.

    Wilson's interval for the effective number of attempts, with Student's quantile for few
    problems: unlike rate ± 2 errors it stays inside 0..1 and does not shrink to a point at its ends
    (Dean & Pagano 2015, "Evaluating confidence interval methods for binomial proportions in
    clustered surveys"). How much runs of a problem resemble each other is seen in those problems
    alone that do not end as nearly all do. Where there are none, nothing tells, and each problem
    counts once, as if its runs were all alike; where they are few, what is seen is luck, and that
    case is averaged in, with a weight that falls with the square of their number.
    """
    n = sum(counts)
    rate = sum(sums) / n
    alike = sum(count**2 for count in counts) / n
    failing = sum(s < count for s, count in zip(sums, counts, strict=True))
    telling = min(failing, sum(s > 0 for s in sums))
    seen = 0.0
    if telling:
        seen = max(1.0, clustered_error(sums, counts) ** 2 * n / (rate * (1 - rate)))
    effect = (telling**2 * seen + alike) / (telling**2 + 1)  # attempts that tell as much as one
    return _score_interval(rate, n / effect, t_quantile((1 + level) / 2, len(sums) - 1))


def _score_interval(rate: float, n: float, quantile: float) -> Interval:
    ratio = quantile**2 / n
    centre = (rate + ratio / 2) / (1 + ratio)
    half = quantile / (1 + ratio) * math.sqrt(rate * (1 - rate) / n + ratio / (4 * n))
    # At the ends the bound is the rate itself; rounding must not pass it.
    low = 0.0 if rate == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if rate == 1 else min(1.0, centre + half))


def t_interval(
    values: Sequence[float], level: float = LEVEL, freedom: int | None = None
) -> Interval:
    """Student's interval of the mean of two or more independent values, one per problem.

    `freedom` is that of their spread, where it is less than usual.
    """
    mean = fmean(values)
    error = clustered_error(values, [1] * len(values))
    half = t_quantile((1 + level) / 2, freedom or len(values) - 1) * error
    return Interval(mean - half, mean + half)


def bootstrap(
    sums: ArrayLike,
    counts: ArrayLike,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Cluster-bootstrap interval of a ratio, sums over counts: whole problems are drawn anew.

    `sums` and `counts` hold one entry per problem (two or more), as for `clustered_error`, or costs
    and what they bought; where what was drawn bought nothing, the ratio is infinite. The percentile
    interval, widened for few problems (Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap", expanded percentile interval). The same `seed` gives the same bounds. Of a rate near
    0 or 1 it covers far too little, half of 95 in 100 where nearly all problems end alike: that
    takes `clustered_interval`.
    """
    tops = np.asarray(sums, dtype=np.float64)
    bottoms = np.asarray(counts, dtype=np.float64)
    clusters = len(tops)
    draws = np.random.default_rng(seed)
    ratios: list[NDArray[np.float64]] = []
    left, chunk = resamples, max(1, _CHUNK // clusters)
    while left > 0:
        size = min(left, chunk)
        drawn = draws.integers(0, clusters, size=(size, clusters))
        top, bottom = tops[drawn].sum(axis=1), bottoms[drawn].sum(axis=1)
        ratios.append(np.divide(top, bottom, out=np.full(size, np.inf), where=bottom > 0))
        left -= size
    wide = math.sqrt(clusters / (clusters - 1)) * t_quantile((1 + level) / 2, clusters - 1)
    tail = NormalDist().cdf(-wide)
    # Between two draws nothing is interpolated: one of them may be infinite.
    low = np.quantile(np.concatenate(ratios), tail, method="lower")
    high = np.quantile(np.concatenate(ratios), 1 - tail, method="higher")
    return Interval(float(low), float(high))
