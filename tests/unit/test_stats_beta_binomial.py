"""Intervals of pass rates: against the beta-binomial distribution of scipy, and simulation."""

from statistics import fmean

import numpy as np
import pytest
import scipy.stats
from helpers.simulations import line_of, simulated
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbench import stats
from llmbench.stats.beta_binomial import _likelihood


def test_the_likelihood_is_that_of_the_beta_binomial_distribution_of_scipy() -> None:
    means, correlations = np.array([0.2, 0.7, 0.99]), np.array([0.1, 0.5])
    runs, passed = np.array([3, 3, 5, 1]), np.array([3, 0, 2, 1])
    ours = _likelihood(means, correlations, runs, passed)
    theirs = np.array(
        [
            [
                np.prod(scipy.stats.betabinom.pmf(passed, runs, m * s, (1 - m) * s))
                for s in 1 / correlations - 1
            ]
            for m in means
        ]
    )
    assert ours / ours.max() == pytest.approx(theirs / theirs.max())


def test_a_single_run_of_each_problem_gives_nearly_the_interval_of_a_uniform_prior() -> None:
    low, high = stats.rate_interval([1] * 9 + [0] * 4, [1] * 13)
    theirs = scipy.stats.beta(10, 5).interval(0.95)
    assert (low, high) == pytest.approx(theirs, abs=0.005)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
        min_size=2,
        max_size=20,
    )
)
def test_the_interval_contains_the_rate_and_mirrors_that_of_the_failures(
    counted: list[tuple[int, int]],
) -> None:
    passes, counts = [c for c, _ in counted], [n for _, n in counted]
    rate = sum(passes) / sum(counts)
    low, high = stats.rate_interval(passes, counts)
    assert 0 <= low <= rate <= high <= 1
    assert high - low > 0.02
    failed = stats.rate_interval([n - c for c, n in counted], counts)
    assert (1 - failed.high, 1 - failed.low) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(
    ("problems", "runs", "alpha", "beta"),
    [(13, 3, 1.9, 0.1), (13, 3, 0.6, 0.3), (13, 5, 1.8, 0.2), (30, 3, 1, 1), (60, 1, 1.9, 0.1),
     (60, 5, 0.6, 0.3)],
)  # fmt: skip
def test_intervals_cover_the_true_rate_in_95_of_100_cases_and_are_no_wider_than_clustered_ones(
    problems: int, runs: int, alpha: float, beta: float
) -> None:
    true, passes = simulated(problems, runs, alpha, beta, times=500)
    counts = [runs] * problems
    ours = [stats.rate_interval(each, counts) for each in passes.tolist()]
    clustered = [stats.clustered_interval(each, counts) for each in passes.tolist()]
    assert 0.925 <= fmean(low <= true <= high for low, high in ours) <= 0.985
    width = fmean(high - low for low, high in ours)
    assert width <= 1.05 * fmean(high - low for low, high in clustered)


def test_near_1_the_interval_of_few_problems_is_a_fifth_narrower() -> None:
    _, passes = simulated(13, 3, 1.9, 0.1, times=300)
    widths = {
        interval: fmean(b - a for a, b in (interval(each, [3] * 13) for each in passes.tolist()))
        for interval in (stats.rate_interval, stats.clustered_interval)
    }
    assert widths[stats.rate_interval] < 0.85 * widths[stats.clustered_interval]


def test_the_summary_has_this_interval() -> None:
    line = line_of([(3, 3)] * 12 + [(3, 1)])
    assert (line["ci_low"], line["ci_high"]) == stats.rate_interval([3] * 12 + [1], [3] * 13)
