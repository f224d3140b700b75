"""Standard errors and confidence intervals of rates and means, as plain numbers."""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist, fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
"""Confidence level of an interval unless a caller names another."""

RESAMPLES = 2000
_CHUNK = 500_000  # draws held at once by a bootstrap: about 4 MB, which fits into a cache


class Interval(NamedTuple):
    """Bounds of a confidence interval, in the unit of the value that they bound."""

    low: float
    high: float


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(probability)


@lru_cache(maxsize=4096)
def t_quantile(probability: float, df: int) -> float:
    """Return the quantile of Student's t distribution with `df` degrees of freedom (1 or more).

    The distribution function is a finite sum (Abramowitz & Stegun 26.7.3 and 26.7.4), inverted by
    bisection over the angle arctan(t / sqrt(df)).
    """
    low, high = -math.pi / 2, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _t_cdf(middle, df) < probability:
            low = middle
        else:
            high = middle
    return math.tan((low + high) / 2) * math.sqrt(df)


def _t_cdf(angle: float, df: int) -> float:
    cosine = math.cos(angle)
    odd = df % 2
    term = cosine if odd else 1.0
    total = term if df > 1 else 0.0
    for n in range(3 if odd else 2, df - 1, 2):
        term *= cosine**2 * (n - 1) / n
        total += term
    inside = math.sin(angle) * total
    return 0.5 + (angle + inside) / math.pi if odd else 0.5 + inside / 2


def wilson(passed: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's score interval of a rate from `n` independent attempts (Wilson 1927)."""
    return _score_interval(passed / n, n, normal_quantile((1 + confidence) / 2))


def clustered_error(sums: Sequence[float], counts: Sequence[int]) -> float:
    """Return the standard error of a mean over all attempts, clustered by problem.

    `sums` and `counts` hold one entry per problem: the sum over its attempts, and their number.
    The formula is that of Miller 2024, section 2.2. The variance is scaled by G / (G - 1) for G
    problems (CR1), because few problems would look too certain otherwise. G must be 2 or more.
    """
    clusters, total = len(sums), sum(counts)
    mean = sum(sums) / total
    squares = sum((s - mean * n) ** 2 for s, n in zip(sums, counts, strict=True))
    return math.sqrt(clusters / (clusters - 1) * squares) / total


def clustered_interval(
    sums: Sequence[float], counts: Sequence[int], confidence: float = CONFIDENCE
) -> Interval:
    """Return the interval of a rate over all attempts; arguments as for `clustered_error`.

    This is Wilson's interval for the effective number of attempts, with the t quantile for few
    problems. Unlike rate ± 2 errors it stays inside 0..1 and does not shrink to a point at its ends
    (Dean & Pagano 2015, "Evaluating confidence interval methods for binomial proportions in
    clustered surveys").

    The design effect is estimated from the informative problems: those that end unlike nearly all
    others. Without any, each problem counts once, as if all its runs were identical. From few the
    estimate is unreliable, so it is averaged with that worst case, whose weight falls with the
    square of the number of informative problems.
    """
    n = sum(counts)
    rate = sum(sums) / n
    identical_runs = sum(count**2 for count in counts) / n  # design effect of the worst case
    failing = sum(s < count for s, count in zip(sums, counts, strict=True))
    informative = min(failing, sum(s > 0 for s in sums))
    estimate = 0.0
    if informative:
        estimate = max(1.0, clustered_error(sums, counts) ** 2 * n / (rate * (1 - rate)))
    design_effect = (informative**2 * estimate + identical_runs) / (informative**2 + 1)
    quantile = t_quantile((1 + confidence) / 2, len(sums) - 1)
    return _score_interval(rate, n / design_effect, quantile)


def _score_interval(rate: float, n: float, quantile: float) -> Interval:
    ratio = quantile**2 / n
    centre = (rate + ratio / 2) / (1 + ratio)
    half = quantile / (1 + ratio) * math.sqrt(rate * (1 - rate) / n + ratio / (4 * n))
    # At the ends the bound is the rate itself; rounding must not pass it.
    low = 0.0 if rate == 0 else max(0.0, centre - half)
    return Interval(low, 1.0 if rate == 1 else min(1.0, centre + half))


def t_interval(
    values: Sequence[float], confidence: float = CONFIDENCE, df: int | None = None
) -> Interval:
    """Return Student's interval of the mean of two or more independent values, one per problem.

    `df` is the degrees of freedom of their spread where they are fewer than len(values) - 1.
    """
    mean = fmean(values)
    error = clustered_error(values, [1] * len(values))
    half = t_quantile((1 + confidence) / 2, df or len(values) - 1) * error
    return Interval(mean - half, mean + half)


def bootstrap(
    sums: ArrayLike,
    counts: ArrayLike,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the cluster-bootstrap interval of a ratio: sums over counts, whole problems resampled.

    `sums` and `counts` hold one entry per problem (two or more), as for `clustered_error`, or costs
    and the numbers of passes. A resample without a pass has an infinite ratio. The same `seed`
    gives the same bounds.

    This is the percentile interval, widened for few problems (Hesterberg 2015, "What Teachers
    Should Know About the Bootstrap", expanded percentile interval). It suits costs. A rate near 0
    or 1, where nearly all problems end alike, needs `clustered_interval`: there a bootstrap covers
    the true rate about half as often as it should.
    """
    tops = np.asarray(sums, dtype=np.float64)
    bottoms = np.asarray(counts, dtype=np.float64)
    clusters = len(tops)
    rng = np.random.default_rng(seed)
    ratios: list[NDArray[np.float64]] = []
    remaining, chunk = resamples, max(1, _CHUNK // clusters)
    while remaining > 0:
        size = min(remaining, chunk)
        sample = rng.integers(0, clusters, size=(size, clusters))
        top, bottom = tops[sample].sum(axis=1), bottoms[sample].sum(axis=1)
        ratios.append(np.divide(top, bottom, out=np.full(size, np.inf), where=bottom > 0))
        remaining -= size
    expansion = math.sqrt(clusters / (clusters - 1)) * t_quantile(
        (1 + confidence) / 2, clusters - 1
    )
    tail = NormalDist().cdf(-expansion)
    # Nothing is interpolated between two resamples: one of them may be infinite.
    low = np.quantile(np.concatenate(ratios), tail, method="lower")
    high = np.quantile(np.concatenate(ratios), 1 - tail, method="higher")
    return Interval(float(low), float(high))
