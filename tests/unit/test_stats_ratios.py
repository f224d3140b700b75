"""Ratios paired by problem: against closed forms, the binomial test, and simulation."""

import math
from statistics import fmean

import numpy as np
import polars as pl
import pytest
import scipy.stats
from helpers.factories import alike, result
from hypothesis import given
from hypothesis import strategies as st

from llmbench import stats
from llmbench.stats.ratios import _sign_test_rank, median_ratio, ratio_of_totals

POSITIVE = st.floats(0.01, 100)


@given(st.lists(POSITIVE, min_size=2, max_size=12), st.floats(0.1, 10))
def test_equal_ratios_have_an_interval_of_no_width(old: list[float], factor: float) -> None:
    new = [factor * value for value in old]
    for ratio in (ratio_of_totals(old, new), median_ratio(old, new)):
        assert ratio is not None
        assert ratio.value == pytest.approx(factor)
        if ratio.interval:
            assert ratio.interval == pytest.approx((factor, factor), rel=1e-6)


def test_the_interval_of_totals_is_that_of_the_residuals_of_a_ratio() -> None:
    old, new = [1.0, 2.0, 4.0, 8.0], [2.0, 3.0, 9.0, 11.0]
    ratio = ratio_of_totals(old, new)
    assert ratio is not None
    assert ratio.value == pytest.approx(25 / 15)
    residuals = np.array(new) - ratio.value * np.array(old)
    error = residuals.std(ddof=1) / math.sqrt(4) / np.mean(old) / ratio.value
    half = scipy.stats.t.ppf(0.975, 2) * error  # 15² / 85 are about 3 problems
    bounds = (math.log(ratio.value) - half, math.log(ratio.value) + half)
    assert ratio.interval is not None
    assert [math.log(bound) for bound in ratio.interval] == pytest.approx(bounds)


@given(st.integers(1, 200))
def test_ranks_of_the_sign_test_are_those_of_the_binomial_distribution(n: int) -> None:
    rank = _sign_test_rank(n, 0.025)
    assert scipy.stats.binom.cdf(rank - 1, n, 0.5) <= 0.025
    assert rank == n // 2 or scipy.stats.binom.cdf(rank, n, 0.5) > 0.025
    assert (rank > 0) == (n >= 6)


@pytest.mark.parametrize("problems", [13, 60])
def test_intervals_of_ratios_cover_the_true_one_in_95_of_100_cases(problems: int) -> None:
    draws = np.random.default_rng(4)
    hits = {"totals": 0, "median": 0}
    for _ in range(1500):
        sizes = draws.lognormal(0, 0.8, problems)  # hard problems take longer for both
        old = (sizes * draws.lognormal(0, 0.3, problems)).tolist()
        new = (1.2 * sizes * draws.lognormal(0, 0.3, problems)).tolist()
        for name, ratio in (
            ("totals", ratio_of_totals(old, new)),
            ("median", median_ratio(old, new)),
        ):
            assert ratio is not None
            assert ratio.interval is not None
            hits[name] += ratio.interval.low <= 1.2 <= ratio.interval.high
    assert 0.92 <= hits["totals"] / 1500 <= 0.98
    assert 0.94 <= hits["median"] / 1500 <= 0.985


def test_an_outlier_does_not_move_the_median_ratio() -> None:
    old, new = [1.0] * 9, [2.0] * 8 + [1000.0]
    median = median_ratio(old, new)
    assert median is not None
    assert median.value == pytest.approx(2)
    assert median.interval == pytest.approx((2, 2))


def test_what_has_no_ratio_is_none() -> None:
    assert ratio_of_totals([0.0, 0.0], [1.0, 1.0]) is None
    assert ratio_of_totals([1.0], [0.0]) is None
    assert median_ratio([0.0], [1.0]) is None
    assert ratio_of_totals([2.0], [3.0]) == (1.5, None)
    few = median_ratio([1.0] * 5, [2.0] * 5)
    assert few is not None
    assert few.interval is None


def test_results_are_compared_by_ratios_of_totals_and_of_medians() -> None:
    a = result(alike(), llm_seconds=2.0, tokens_per_second=50.0, cost_usd=0.0)
    b = result(alike(), llm_seconds=3.0, tokens_per_second=25.0, cost_usd=0.1)
    lines = {m["metric"]: m for m in stats.compare([("a", a), ("b", b)]).metrics.to_dicts()}
    seconds, speed, cost = (
        lines[name] for name in ("llm_seconds", "tokens_per_second", "cost_usd")
    )
    assert (seconds["ratio_of"], seconds["ratio"]) == ("totals", pytest.approx(1.5))
    assert (speed["ratio_of"], speed["ratio"]) == ("medians", pytest.approx(0.5))
    assert fmean([speed["ratio_ci_low"], speed["ratio_ci_high"]]) == pytest.approx(0.5)
    assert cost["ratio"] is cost["ratio_ci_low"] is None


def test_answers_in_one_burst_do_not_decide_the_speed() -> None:
    # Earlier versions measured 400 tokens within 0.2 ms; their files have no stream_seconds.
    steady = {"llm_seconds": 8.5, "ttft_seconds": 0.5, "tokens_per_second": 50.0}
    burst = {"llm_seconds": 0.5002, "ttft_seconds": 0.5, "tokens_per_second": 2e6}
    runs = {f"p{i}": [1] * 20 for i in range(6)}
    old = result(runs, stream_seconds=None, **steady)
    is_burst = pl.col("run") == 20
    new = old.with_columns(
        pl.when(is_burst).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, value in burst.items()
    )
    (line,) = (
        metric
        for metric in stats.compare([("a", old), ("b", new)]).metrics.to_dicts()
        if metric["metric"] == "tokens_per_second"
    )
    assert line["value_baseline"] == pytest.approx(50)
    assert line["value_candidate"] == pytest.approx(50, rel=0.06)
    assert line["ratio"] == pytest.approx(1, rel=0.06)
    assert [line["ratio_ci_low"], line["ratio_ci_high"]] == pytest.approx([1, 1], rel=0.06)


def test_the_speed_on_a_problem_is_all_tokens_over_all_time() -> None:
    table = result({"p": [1, 1]}, tokens_per_second=10.0, stream_seconds=1.0)
    slow = pl.col("run") == 2
    table = table.with_columns(
        tokens_per_second=pl.when(slow).then(2.0).otherwise(pl.col("tokens_per_second")),
        stream_seconds=pl.when(slow).then(3.0).otherwise(pl.col("stream_seconds")),
    )
    lines = {m["metric"]: m for m in stats.compare([("a", table), ("b", table)]).metrics.to_dicts()}
    assert lines["tokens_per_second"]["value_baseline"] == pytest.approx((10 + 6) / 4)
