"""Standard errors and intervals: against closed forms, simulations and other implementations."""

import math
from statistics import fmean

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from helpers.simulations import Counts, line_of, simulated
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from llmbench import stats

COUNTS: st.SearchStrategy[Counts] = st.lists(
    st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    min_size=2,
    max_size=15,
)


DESIGNS = [(13, 3, 2, 1), (30, 2, 1, 1), (40, 5, 0.5, 0.5), (100, 3, 3, 1)]


@given(st.integers(1, 400), st.sampled_from([0.6, 0.9, 0.975, 0.995, 0.01]))
def test_t_quantiles_equal_those_of_scipy(df: int, probability: float) -> None:
    ours = stats.t_quantile(probability, df)
    assert ours == pytest.approx(scipy.stats.t.ppf(probability, df), rel=1e-9)


@given(st.integers(1, 300), st.data())
def test_wilson_intervals_equal_those_of_statsmodels(n: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, n))
    theirs = proportion_confint(passed, n, alpha=0.05, method="wilson")
    assert stats.wilson(passed, n) == pytest.approx(theirs, abs=1e-9)


@given(COUNTS)
def test_clustered_errors_equal_those_of_statsmodels(counts: Counts) -> None:
    groups = np.repeat(np.arange(len(counts)), [n for n, _ in counts])
    passes = np.concatenate([np.arange(n) < c for n, c in counts]).astype(float)
    ours = stats.clustered_error([c for _, c in counts], [n for n, _ in counts])
    assert line_of(counts)["std_error"] == pytest.approx(ours, abs=1e-7)
    model = sm.OLS(passes, np.ones_like(passes))
    theirs = model.fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert ours == pytest.approx(theirs.bse[0], abs=1e-9)


def test_with_one_run_per_problem_the_clustered_error_is_the_plain_one() -> None:
    passes = [1, 0, 0, 1, 1, 0, 1]
    plain = scipy.stats.sem(passes)
    assert stats.clustered_error(passes, [1] * 7) == pytest.approx(plain)


def test_with_equal_runs_the_clustered_error_is_that_of_the_problem_rates() -> None:
    plain = scipy.stats.sem([1 / 3, 1, 0, 2 / 3])
    assert stats.clustered_error([1, 3, 0, 2], [3] * 4) == pytest.approx(plain)


def test_t_intervals_equal_those_of_scipy() -> None:
    values = [0.1, -0.4, 0.3, 0.25, 0.0]
    theirs = scipy.stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert stats.t_interval(values) == pytest.approx((theirs.low, theirs.high))


@given(COUNTS)
def test_a_clustered_interval_contains_its_rate_and_stays_within_0_and_1(counts: Counts) -> None:
    line = line_of(counts)
    assert 0 <= line["ci_low"] <= line["pass_rate"] <= line["ci_high"] <= 1
    assert line["ci_low"] < line["ci_high"]


def test_a_single_problem_has_the_wilson_interval_of_its_runs() -> None:
    line = line_of([(5, 4)])
    assert (line["ci_low"], line["ci_high"]) == pytest.approx(stats.wilson(4, 5))
    assert line["std_error"] == pytest.approx(math.sqrt(0.8 * 0.2 / 5))


def test_identical_runs_do_not_narrow_the_interval() -> None:
    once, often = line_of([(1, 1), (1, 0)] * 10), line_of([(9, 9), (9, 0)] * 10)
    assert (once["ci_low"], once["ci_high"]) == pytest.approx(
        (often["ci_low"], often["ci_high"]), abs=5e-4
    )


@pytest.mark.parametrize(("problems", "runs", "alpha", "beta"), DESIGNS)
def test_clustered_intervals_cover_the_true_rate_in_95_of_100_cases(
    problems: int, runs: int, alpha: float, beta: float
) -> None:
    true, passes = simulated(problems, runs, alpha, beta, times=4000)
    bounds = [stats.clustered_interval(sums, [runs] * problems) for sums in passes.tolist()]
    assert 0.93 <= fmean(low <= true <= high for low, high in bounds) <= 0.97


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.9, 0.95, 0.98])
@pytest.mark.parametrize(("problems", "runs"), [(13, 1), (13, 5), (20, 3), (60, 1), (60, 5)])
def test_clustered_intervals_are_conservative_near_0_and_1_and_for_few_problems(
    problems: int, runs: int, rate: float
) -> None:
    _, passes = simulated(problems, runs, rate, 1 - rate, times=2000)
    bounds = [stats.clustered_interval(sums, [runs] * problems) for sums in passes.tolist()]
    assert fmean(low <= rate <= high for low, high in bounds) >= 0.93
    plain = stats.wilson(rate * problems, problems)
    assert fmean(high - low for low, high in bounds) < 1.3 * (plain.high - plain.low)


def test_a_single_failed_run_narrows_the_interval_of_a_perfect_rate_little() -> None:
    perfect, nearly = (stats.clustered_interval([5] * 19 + [c], [5] * 20) for c in (5, 4))
    assert perfect.low < nearly.low < perfect.low + 0.1


@pytest.mark.parametrize(("problems", "runs", "alpha", "beta"), DESIGNS)
def test_bootstrap_intervals_cover_the_true_rate_in_95_of_100_cases(
    problems: int, runs: int, alpha: float, beta: float
) -> None:
    true, passes = simulated(problems, runs, alpha, beta, times=1500)
    counts = [runs] * problems
    bounds = [stats.bootstrap(sums, counts, resamples=600, seed=i) for i, sums in enumerate(passes)]
    assert 0.93 <= fmean(low <= true <= high for low, high in bounds) <= 0.97


@pytest.mark.parametrize("n", [3, 5, 10, 30, 100])
def test_wilson_intervals_cover_the_true_rate_in_95_of_100_cases(n: int) -> None:
    bounds = [stats.wilson(c, n) for c in range(n + 1)]
    exact = [
        scipy.stats.binom.pmf(np.arange(n + 1), n, rate) @ [a <= rate <= b for a, b in bounds]
        for rate in np.linspace(0.01, 0.99, 99)
    ]  # for any one rate the coverage jumps about 0.95, since passes are whole
    assert 0.93 <= fmean(exact) <= 0.97


def test_t_intervals_cover_the_true_mean_in_95_of_100_cases() -> None:
    draws = np.random.default_rng(7).normal(0.2, 1, size=(4000, 12))
    bounds = [stats.t_interval(values) for values in draws.tolist()]
    assert 0.93 <= fmean(low <= 0.2 <= high for low, high in bounds) <= 0.97


def test_the_bootstrap_agrees_with_that_of_scipy() -> None:
    values = np.random.default_rng(3).uniform(size=200)
    ours = stats.bootstrap(values, np.ones(200), resamples=20000)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_a_bootstrap_of_rare_passes_has_no_upper_bound() -> None:
    low, high = stats.bootstrap([1.0] * 6, [1, 0, 0, 0, 0, 0])
    assert 1 <= low < high == math.inf


def test_the_bootstrap_is_reproducible_across_chunks() -> None:
    sums, counts = np.arange(3000) % 4, np.full(3000, 3)
    assert stats.bootstrap(sums, counts) == stats.bootstrap(sums, counts)
