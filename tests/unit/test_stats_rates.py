"""Rates, pass@k, costs and percentiles over groups of rows."""

from itertools import combinations
from statistics import fmean, median

import numpy as np
import polars as pl
import pytest
from helpers.factories import row
from helpers.simulations import Counts, line_of, repeated, rows_of, simulated
from hypothesis import given
from hypothesis import strategies as st

from llmbench import stats
from llmbench.store import tables


@given(st.integers(1, 7), st.data())
def test_pass_at_k_and_pass_hat_k_are_shares_of_all_combinations(
    n: int, data: st.DataObject
) -> None:
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    choices = list(combinations([True] * c + [False] * (n - c), k))
    assert stats.pass_at_k(n, c, k) == pytest.approx(fmean(any(choice) for choice in choices))
    assert stats.pass_hat_k(n, c, k) == pytest.approx(fmean(all(choice) for choice in choices))


def test_pass_at_k_equals_the_formula_of_the_paper() -> None:
    def published(n: int, c: int, k: int) -> float:
        return 1.0 if n - c < k else float(1 - np.prod(1 - k / np.arange(n - c + 1, n + 1)))

    for n, c, k in [(200, 17, 10), (200, 0, 1), (200, 195, 100), (5, 5, 5), (5, 1, 3)]:
        assert stats.pass_at_k(n, c, k) == pytest.approx(published(n, c, k))


def test_pass_rates_at_k_are_means_over_the_problems_with_k_runs() -> None:
    table = tables.to_frame(rows_of([(3, 3), (3, 1), (2, 1)]))
    one, three, four = stats.pass_rates_at(table, ["target"], [1, 3, 4]).to_dicts()
    assert one["pass_at_k"] == pytest.approx(fmean([1, 1 / 3, 1 / 2])) == one["pass_hat_k"]
    assert (three["problems"], three["pass_at_k"], three["pass_hat_k"]) == (2, 1, 0.5)
    assert 0 <= three["pass_hat_k_ci_low"] <= 0.5 <= three["pass_hat_k_ci_high"] <= 1
    assert four["problems"] == 0
    assert four["pass_at_k"] is four["pass_hat_k_ci_low"] is None


@pytest.mark.parametrize(("k", "at"), [(1, 1 / 2), (3, 3 / 4)])
def test_intervals_of_pass_at_k_cover_it_in_95_of_100_cases(k: int, at: float) -> None:
    _, passes = simulated(40, 5, 1, 1, times=1000)  # any rate p is as likely: 1 - (1 - p)^k
    lines = stats.pass_rates_at(repeated(passes, 5), ["target"], [k])
    low, high = lines["pass_at_k_ci_low"], lines["pass_at_k_ci_high"]
    assert 0.93 <= fmean((low <= at) & (at <= high)) <= 0.97


def test_a_perfect_pass_at_k_still_has_an_interval() -> None:
    (line,) = stats.pass_rates_at(
        tables.to_frame(rows_of([(3, 3), (3, 1), (3, 2)] * 5)), ["target"], [3]
    ).to_dicts()
    assert line["pass_at_k"] == line["pass_at_k_ci_high"] == 1
    assert line["pass_at_k_ci_low"] < 0.9


def test_flaky_is_the_share_of_problems_that_pass_sometimes() -> None:
    assert line_of([(3, 3), (3, 1), (3, 0), (3, 2)])["flaky"] == 0.5
    assert line_of([(1, 1), (2, 1)])["flaky"] == 1  # a single run tells nothing
    assert line_of([(1, 1), (1, 0)])["flaky"] is None


def test_cost_per_solved_is_the_average_cost_of_a_passing_answer() -> None:
    assert line_of([(4, 1)], cost_usd=0.01)["cost_per_solved_usd"] == pytest.approx(0.04)
    assert line_of([(4, 0)], cost_usd=0.01)["cost_per_solved_usd"] is None
    assert line_of([(4, 1)], cost_usd=None)["cost_per_solved_usd"] is None


def test_the_cost_of_failed_requests_is_not_in_the_cost_per_solved() -> None:
    lost = row(score=None, passed=None, outcome="provider_error", cost_usd=5.0)
    rows = [*rows_of([(4, 1)], cost_usd=0.01), lost]
    (line,) = stats.summarize(tables.to_frame(rows), ["target"]).to_dicts()
    assert line["cost_per_solved_usd"] == pytest.approx(0.04)
    assert line["cost_usd"] == pytest.approx(5.04)


def test_answers_without_score_or_cost_are_not_in_the_cost_per_solved() -> None:
    rows = rows_of([(4, 2)], cost_usd=0.01)
    rows.append(row(problem_id="q", cost_usd=9.0, score=None, passed=None, outcome="sandbox_error"))
    rows.append(row(problem_id="r", cost_usd=None))
    (line,) = stats.summarize(tables.to_frame(rows), ["target"]).to_dicts()
    assert line["cost_per_solved_usd"] == pytest.approx(0.02)


def test_intervals_of_the_cost_per_solved_cover_it_in_95_of_100_cases() -> None:
    true, passes = simulated(40, 3, 2, 1, times=1000)
    lines = stats.cost_interval(repeated(passes, 3), ["target"])
    cost = 0.01 / true
    assert 0.93 <= fmean((lines["cost_ci_low"] <= cost) & (cost <= lines["cost_ci_high"])) <= 0.97


@pytest.mark.parametrize(
    ("counts", "bounds"),
    [
        ([(3, 0), (3, 0)], []),
        ([(3, 2)], [(None, None)]),
        ([(3, 1), (3, 0), (3, 0)], [(0.03, None)]),
    ],
)
def test_rarely_solved_problems_leave_the_cost_without_bounds(
    counts: Counts, bounds: list[tuple[float | None, float | None]]
) -> None:
    lines = stats.cost_interval(tables.to_frame(rows_of(counts, cost_usd=0.01)), ["target"])
    assert lines.select("cost_ci_low", "cost_ci_high").rows() == [
        (low if low is None else pytest.approx(low), high) for low, high in bounds
    ]


def test_a_group_without_a_score_has_no_interval() -> None:
    bad = row(score=None, passed=None, outcome="provider_error")
    (line,) = stats.summarize(tables.to_frame([bad]), ["target"]).to_dicts()
    assert line["problems"] == 0
    assert line["ci_low"] is line["ci_high"] is line["std_error"] is line["flaky"] is None


def test_rows_are_grouped_by_any_columns() -> None:
    table = tables.to_frame(
        [*rows_of([(2, 1), (2, 2)]), *rows_of([(2, 0)], lang="go", target="x/y")]
    )
    lines = stats.summarize(table, ["problem_id", "lang", "target"])
    assert lines["problems"].to_list() == [1, 1, 1]
    assert stats.summarize(table, ["lang"])["pass_rate"].to_list() == [0.75, 0.0]
    assert stats.summarize(table, ["difficulty"])["scored"].to_list() == [6]


def test_a_row_counts_under_each_of_its_tags() -> None:
    table = tables.to_frame(
        [*rows_of([(2, 2)], tags="async,http"), *rows_of([(2, 0)], tags="http", problem_id="q"),
         *rows_of([(2, 1)], tags="", problem_id="r")]
    )  # fmt: skip
    lines = {line["tag"]: line for line in stats.by_tag(table).to_dicts()}
    assert {tag: line["pass_rate"] for tag, line in lines.items()} == {"async": 1.0, "http": 0.5}


def test_percentiles_equal_those_of_numpy() -> None:
    values = [0.1, 0.5, 0.2, 0.9, 0.7]
    rows = [row(run=i, ttft_seconds=v) for i, v in enumerate(values, 1)]
    rows.append(row(run=9, ttft_seconds=None))
    (line,) = stats.percentiles(tables.to_frame(rows), ["target"], at=(10, 50, 90)).to_dicts()
    for q in (10, 50, 90):
        assert line[f"ttft_seconds_p{q}"] == pytest.approx(np.percentile(values, q))
    assert line["ttft_seconds_p50"] == median(values)


def test_rates_of_ten_thousand_rows_are_fast() -> None:
    table = tables.to_frame(rows_of([(5, i % 6) for i in range(2000)]))
    assert len(stats.summarize(table, ["problem_id", "target"])) == 2000
    assert isinstance(stats.summarize(table, ["target"]), pl.DataFrame)


def test_the_time_to_first_token_of_uncached_prompts_leaves_out_the_mostly_cached() -> None:
    times = [(0, 2.0), (49, 4.0), (50, 0.1), (100, 0.1), (None, 0.2)]
    rows = [
        row(run=i, prompt_tokens=100, cached_tokens=cached, ttft_seconds=seconds)
        for i, (cached, seconds) in enumerate(times, 1)
    ]
    (line,) = stats.summarize(tables.to_frame(rows), ["target"]).to_dicts()
    assert (line["ttft_seconds"], line["ttft_uncached_seconds"]) == (0.2, 3.0)
    assert line["mostly_cached"] == 0.5  # of the four answers of which the server tells
    (line,) = stats.summarize(tables.to_frame(rows[:2]), ["target"]).to_dicts()
    assert (line["ttft_uncached_seconds"], line["mostly_cached"]) == (3.0, None)


def test_the_decode_speed_of_a_group_is_by_the_clock_of_servers() -> None:
    rows = [
        row(run=1, decode_tokens_per_second=70.0, timing_source="llama.cpp"),
        row(run=2, decode_tokens_per_second=900.0, timing_source="client"),
        row(run=3, decode_tokens_per_second=None, timing_source=None),
    ]
    (line,) = stats.summarize(tables.to_frame(rows), ["target"]).to_dicts()
    assert line["decode_tokens_per_second"] == 70
    (line,) = stats.summarize(tables.to_frame(rows[1:]), ["target"]).to_dicts()
    assert line["decode_tokens_per_second"] is None
