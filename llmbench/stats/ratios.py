"""Ratios of positive values that are paired by problem: times, tokens, costs, speeds."""

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from llmbench.stats.intervals import CONFIDENCE, Interval, t_quantile


class Ratio(NamedTuple):
    """New over old; `interval` is None where there are too few problems for one."""

    value: float
    interval: Interval | None


def ratio_of_totals(
    old: Sequence[float], new: Sequence[float], confidence: float = CONFIDENCE
) -> Ratio | None:
    """Return the sum of `new` over the sum of `old`, one value of each per problem.

    It tells what all problems together cost. The interval is Student's on the scale of logarithms,
    with the variance of a ratio of paired sums (delta method; Cochran 1977, "Sampling Techniques",
    section 6.4, with n - 1). Where few large problems make up most of the sums, only they inform
    about the spread: its degrees of freedom are those of the effective number of problems (Kish
    1965). None where a sum is not positive.
    """
    before, after = math.fsum(old), math.fsum(new)
    if not (before > 0 and after > 0):
        return None
    problems = len(old)
    if problems < 2:
        return Ratio(after / before, None)
    shares = ((b / after - a / before) ** 2 for a, b in zip(old, new, strict=True))
    error = math.sqrt(problems / (problems - 1) * math.fsum(shares))
    effective = before**2 / math.fsum(a**2 for a in old)
    half = t_quantile((1 + confidence) / 2, max(1, round(effective) - 1)) * error
    centre = math.log(after / before)
    return Ratio(after / before, Interval(math.exp(centre - half), math.exp(centre + half)))


def median_ratio(
    old: Sequence[float], new: Sequence[float], confidence: float = CONFIDENCE
) -> Ratio | None:
    """Return the median over problems of `new` over `old`, of the problems where both are positive.

    For an even number it is the middle of the logarithms. The interval is `median_interval`. None
    without such a problem.
    """
    logarithms = [math.log(b / a) for a, b in zip(old, new, strict=True) if a > 0 and b > 0]
    if not logarithms:
        return None
    bounds = median_interval(logarithms, confidence)
    interval = bounds and Interval(*map(math.exp, bounds))
    return Ratio(math.exp(median(logarithms)), interval)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Return the interval of a median, which is that of the sign test.

    It goes from the k-th smallest to the k-th largest value, with the largest k that the binomial
    distribution allows (Conover 1999, "Practical Nonparametric Statistics", section 3.2). It needs
    6 values at 95 %, and no assumption about outliers. None for fewer.
    """
    rank = _sign_test_rank(len(values), (1 - confidence) / 2)
    if rank == 0:
        return None
    ordered = sorted(values)
    return Interval(ordered[rank - 1], ordered[-rank])


def _sign_test_rank(n: int, tail: float) -> int:
    """Return the largest k with P(fewer than k heads of n coins) of at most `tail`."""
    total, rank = 0.0, 0
    for heads in range(n // 2):
        total += math.comb(n, heads) / 2**n
        if total > tail:
            break
        rank = heads + 1
    return rank
