"""Rates and intervals: against closed forms, simulation, and independent implementations."""

import math
from itertools import combinations
from statistics import fmean, median

import numpy as np
import polars as pl
import pytest
import scipy.stats
import statsmodels.api as sm
from helpers.factories import row
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from llmbench import stats
from llmbench.records import Row
from llmbench.store import tables

Counts = list[tuple[int, int]]  # runs and passes of each problem
COUNTS: st.SearchStrategy[Counts] = st.lists(
    st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    min_size=2,
    max_size=15,
)


def rows_of(counts: Counts, **changes: object) -> list[Row]:
    """Return one row per run; `counts` are the runs and passes of each problem."""
    return [
        row(
            **{"problem_id": f"p{i}", "run": run, **changes},
            score=100.0 * (run <= passes),
            passed=run <= passes,
            outcome="passed" if run <= passes else "failed",
        )
        for i, (runs, passes) in enumerate(counts)
        for run in range(1, runs + 1)
    ]


def line_of(counts: Counts, **changes: object) -> dict[str, float]:
    (line,) = stats.summarize(tables.to_frame(rows_of(counts, **changes)), ["target"]).to_dicts()
    return line


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
    assert (once["ci_low"], once["ci_high"]) == pytest.approx((often["ci_low"], often["ci_high"]))


def simulated(
    problems: int, runs: int, alpha: float, beta: float, times: int
) -> tuple[float, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    """Return the true rate, and passes per problem for each repetition.

    The pass rates of the problems follow Beta(alpha, beta).
    """
    draws = np.random.default_rng(20240917)
    chances = draws.beta(alpha, beta, size=(times, problems))
    return alpha / (alpha + beta), draws.binomial(runs, chances)


DESIGNS = [(13, 3, 2, 1), (30, 2, 1, 1), (40, 5, 0.5, 0.5), (100, 3, 3, 1)]


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


def repeated(passes: np.ndarray[tuple[int, int], np.dtype[np.int64]], runs: int) -> pl.DataFrame:
    """Return each repetition of a simulation as a target; an answer costs 0.01 $."""
    passed = np.arange(runs) < passes[:, :, None]
    times, problems, _ = (index.ravel() for index in np.indices(passed.shape))
    table = pl.DataFrame({"target": times, "problem_id": problems, "passed": passed.ravel()})
    return table.with_columns(score=100.0 * pl.col("passed"), cost_usd=0.01)


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


Chains = list[list[bool]]  # per attempt: True for each round that passed
CHAINS: st.SearchStrategy[Chains] = st.lists(
    st.integers(1, 4).flatmap(
        lambda rounds: st.booleans().map(lambda passed: [False] * (rounds - 1) + [passed])
    ),
    min_size=1,
    max_size=20,
)


@given(CHAINS)
def test_the_rate_of_a_round_counts_every_pass_so_far_over_all_first_answers(
    chains: Chains,
) -> None:
    rows = [
        row(
            **{"problem_id": f"p{i % 5}", "run": i, "round": number},
            score=100.0 * passed,
            passed=passed,
            outcome="passed" if passed else "failed",
        )
        for i, chain in enumerate(chains)
        for number, passed in enumerate(chain, 1)
    ]
    first, repairs = (
        tables.to_frame(r for r in rows if (r.round == 1) is first) for first in (True, False)
    )
    lines = stats.repair_rounds(first, repairs).to_dicts()
    assert [line["round"] for line in lines] == list(range(1, 1 + max(map(len, chains))))
    for line in lines:
        number = line["round"]
        passed = [chain[number - 1] for chain in chains if len(chain) >= number]
        assert (line["attempts"], line["scored"]) == (len(passed), len(passed))
        assert line["passed"] == sum(passed)
        assert line["tokens"] == len(passed) * 30
        assert line["cost_usd"] == pytest.approx(len(passed) * 0.001)
        by_then = [any(chain[:number]) for chain in chains]
        assert line["pass_rate"] == pytest.approx(fmean(by_then))
    (plain,) = stats.summarize(first, ["target"]).to_dicts()
    assert all(lines[0][name] == plain[name] for name in ("pass_rate", "ci_low", "ci_high"))


def test_unscored_repairs_do_not_raise_the_rate_of_a_round() -> None:
    lost = {"score": None, "passed": None, "outcome": "provider_error", "cost_usd": None}
    failed = {"score": 0.0, "passed": False, "outcome": "failed"}
    first = [
        row(run=1, **failed),
        row(run=2, **failed),
        row(run=3, **lost),
        row(target="b/n", **lost),
    ]
    repairs = [row(run=1, round=2), row(run=2, round=2, **lost)]
    lines = stats.repair_rounds(tables.to_frame(first), tables.to_frame(repairs)).to_dicts()
    columns = ("target", "round", "attempts", "scored", "passed", "pass_rate")
    assert [tuple(line[name] for name in columns) for line in lines] == [
        ("b/n", 1, 1, 0, 0, None),
        ("b/n", 2, 0, 0, 0, None),
        ("lmstudio/m", 1, 3, 2, 0, 0.0),
        ("lmstudio/m", 2, 2, 1, 1, 0.5),
    ]
    assert [line["tokens"] for line in lines] == [30, None, 90, 60]
