"""Agreement, variance and advice: against all pairs, analysis of variance, and simulation."""

import math
from itertools import combinations
from statistics import fmean

import numpy as np
import polars as pl
import pytest
import scipy.stats
from helpers.simulations import Counts, repeated, rows_of, simulated
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from llmbench import stats
from llmbench.store import tables

RUNS = st.integers(2, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


def stability_of(counts: Counts) -> dict[str, float | None]:
    (line,) = stats.stability(tables.to_frame(rows_of(counts)), ["target"]).to_dicts()
    return line


@given(RUNS)
def test_the_agreement_is_the_share_of_pairs_of_runs_that_end_alike(
    counts: tuple[int, int],
) -> None:
    n, c = counts
    pairs = combinations([1] * c + [0] * (n - c), 2)
    assert stats.run_agreement(n, c) == pytest.approx(fmean(a == b for a, b in pairs))


@pytest.mark.parametrize("n", [2, 3, 5, 10])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_the_agreement_is_unbiased_for_any_number_of_runs(n: int, rate: float) -> None:
    expected = scipy.stats.binom(n, rate).pmf(range(n + 1)) @ [
        stats.run_agreement(n, c) for c in range(n + 1)
    ]
    assert expected == pytest.approx(rate**2 + (1 - rate) ** 2)


@pytest.mark.parametrize(
    ("problems", "runs", "alpha", "beta"),
    [(13, 3, 0.6, 0.3), (66, 2, 0.6, 0.3), (66, 3, 2, 1), (40, 5, 0.5, 0.5)],
)
def test_intervals_of_the_agreement_cover_it_in_95_of_100_cases(
    problems: int, runs: int, alpha: float, beta: float
) -> None:
    _, passes = simulated(problems, runs, alpha, beta, times=800)
    total = alpha + beta
    true = 1 - 2 * alpha * beta / (total * (total + 1))
    lines = stats.stability(repeated(passes, runs), ["target"])
    low, high = lines["agreement_ci_low"], lines["agreement_ci_high"]
    assert lines["agreement"].mean() == pytest.approx(true, abs=0.01)
    assert 0.92 <= fmean((low <= true) & (true <= high)) <= 0.985


def test_the_variance_is_split_as_by_an_analysis_of_variance() -> None:
    counts = [(4, 4), (4, 3), (4, 0), (4, 1), (4, 4), (4, 2)]
    data = pl.DataFrame(
        [(f"p{i}", float(run < c)) for i, (n, c) in enumerate(counts) for run in range(n)],
        schema=["problem", "passed"],
        orient="row",
    )
    theirs = anova_lm(ols("passed ~ problem", data.to_pandas()).fit())["mean_sq"]
    between, within = (theirs["problem"] - theirs["Residual"]) / 4, theirs["Residual"]
    line = stability_of(counts)
    assert line["between"] == pytest.approx(between / (between + within))
    assert line["error_more_problems"] == pytest.approx(math.sqrt((between + within / 4) / 16))
    assert line["error_more_runs"] == pytest.approx(math.sqrt((between + within / 14) / 6))


def test_the_errors_that_are_predicted_come_about() -> None:
    draws = np.random.default_rng(5)

    def errors(problems: int, runs: int) -> float:
        rates = draws.beta(2, 1, (4000, problems))
        return float((draws.binomial(runs, rates) / runs).mean(axis=1).std())

    _, passes = simulated(200, 3, 2, 1, times=50)
    lines = stats.stability(repeated(passes, 3), ["target"])
    # Of 200 problems the prediction for 20 follows by its root.
    scale = math.sqrt(200 / 20)
    assert lines["error_more_runs"].mean() == pytest.approx(errors(20, 13) / scale, rel=0.05)
    assert lines["error_more_problems"].mean() == pytest.approx(errors(210, 3), rel=0.05)


def test_what_runs_cannot_tell_is_null() -> None:
    assert stats.stability(tables.to_frame(rows_of([(1, 1), (1, 0)])), ["target"]).is_empty()
    alike = stability_of([(3, 3), (3, 3)])
    assert (alike["agreement"], alike["between"], alike["error_more_runs"]) == (1, None, None)
    alone = stability_of([(3, 1), (1, 1)])
    assert (alone["problems"], alone["k"]) == (1, 3)
    assert alone["agreement"] == pytest.approx(1 / 3)
    assert alone["agreement_ci_low"] is alone["between"] is None


def test_pass_at_k_is_of_the_fewest_runs_of_a_problem() -> None:
    line = stability_of([(3, 1), (2, 1), (3, 3)])
    assert line["k"] == 2
    assert line["pass_at_k"] == pytest.approx(fmean([2 / 3, 1, 1]))
    assert line["pass_hat_k"] == pytest.approx(fmean([0, 0, 1]))
