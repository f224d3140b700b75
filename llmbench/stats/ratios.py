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

    For an even number it is the middle of the logarithms. The interval is that of the sign test:
    from the k-th smallest to the k-th largest ratio, with the largest k that the binomial
    distribution allows (Conover 1999, "Practical Nonparametric Statistics", section 3.2). It needs
    6 problems at 95 %, and no assumption about outliers. None without such a problem.
    """
    logarithms = sorted(math.log(b / a) for a, b in zip(old, new, strict=True) if a > 0 and b > 0)
    if not logarithms:
        return None
    value = math.exp(median(logarithms))
    rank = _sign_test_rank(len(logarithms), (1 - confidence) / 2)
    if rank == 0:
        return Ratio(value, None)
    bounds = Interval(math.exp(logarithms[rank - 1]), math.exp(logarithms[-rank]))
    return Ratio(value, bounds)


def _sign_test_rank(n: int, tail: float) -> int:
    """Return the largest k with P(fewer than k heads of n coins) of at most `tail`."""
    total, rank = 0.0, 0
    for heads in range(n // 2):
        total += math.comb(n, heads) / 2**n
        if total > tail:
            break
        rank = heads + 1
    return rank
