"""Paired tests and comparisons: against closed forms, simulation, independent implementations."""

import math
from fractions import Fraction
from itertools import product
from statistics import fmean

import numpy as np
import polars as pl
import pytest
import scipy.stats
from helpers.factories import alike, result
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests

from llmbench import stats
from llmbench.errors import ResultFileError


@given(st.lists(st.fractions(-1, 1, max_denominator=6), min_size=1, max_size=9))
def test_the_permutation_test_counts_every_sign_pattern(differences: list[Fraction]) -> None:
    observed = abs(sum(differences, Fraction()))
    patterns = list(product([-1, 1], repeat=len(differences)))
    beyond = [
        abs(sum((s * d for s, d in zip(p, differences, strict=True)), Fraction())) >= observed
        for p in patterns
    ]
    p = stats.sign_flip(differences)
    assert p.exact
    assert p.value == pytest.approx(fmean(beyond))


def test_the_permutation_test_equals_that_of_scipy() -> None:
    differences = [Fraction(n, 3) for n in (1, 0, -1, 2, 3, 1, 1, 0, -2, 1, 2)]
    theirs = scipy.stats.permutation_test(
        ([float(d) for d in differences],),
        np.mean,
        permutation_type="samples",
        n_resamples=2**11,  # all patterns: then scipy counts them, too
    )
    assert stats.sign_flip(differences).value == pytest.approx(theirs.pvalue)


def test_the_permutation_test_of_a_thousand_problems_is_exact() -> None:
    draws = np.random.default_rng(1).integers(-3, 4, 1000)
    p = stats.sign_flip([Fraction(int(n), 3) for n in draws])
    theirs = scipy.stats.ttest_1samp(draws / 3, 0).pvalue
    assert p.exact
    assert p.value == pytest.approx(theirs, abs=0.02)  # sums are whole, so ties count


def test_with_too_many_sums_patterns_are_drawn_reproducibly() -> None:
    draws = np.random.default_rng(2).normal(0.1, 0.4, 60)
    differences = [Fraction(float(d)) for d in draws]
    p = stats.sign_flip(differences)
    assert not p.exact
    assert p == stats.sign_flip(differences)
    assert p.value == pytest.approx(scipy.stats.ttest_1samp(draws, 0).pvalue, abs=0.01)


def test_at_most_one_in_twenty_equal_pairs_is_significant() -> None:
    draws = np.random.default_rng(5)
    called = 0
    for _ in range(600):
        chance = draws.uniform(size=20)
        a, b = draws.binomial(3, chance), draws.binomial(3, chance)
        called += stats.sign_flip([Fraction(int(d), 3) for d in b - a]).value <= stats.ALPHA
    assert 0.02 <= called / 600 <= 0.07


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemars_test_equals_that_of_statsmodels_and_the_permutation_test(
    only_baseline: int, only_candidate: int
) -> None:
    theirs = mcnemar_of_statsmodels([[5, only_baseline], [only_candidate, 7]], exact=True).pvalue
    ours = stats.mcnemar(only_baseline, only_candidate)
    assert ours == pytest.approx(theirs)
    differences = [Fraction(-1)] * only_baseline + [Fraction(1)] * only_candidate
    assert stats.sign_flip(differences).value == pytest.approx(ours)


@settings(max_examples=25)  # statsmodels is slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_equals_that_of_statsmodels(p_values: list[float]) -> None:
    theirs = multipletests(p_values, method="holm")[1]
    assert stats.holm(p_values) == pytest.approx(theirs)


@pytest.mark.parametrize(("problems", "runs", "shift"), [(15, 3, 0.1), (30, 1, 0), (60, 5, -0.2)])
def test_intervals_of_a_difference_cover_the_true_one_in_95_of_100_cases(
    problems: int, runs: int, shift: float
) -> None:
    draws = np.random.default_rng(11)
    hits, times = 0, 3000
    for _ in range(times):
        chance = draws.beta(1, 1, problems) * 0.6 + 0.2
        a, b = draws.binomial(runs, chance), draws.binomial(runs, chance + shift)
        low, high = stats.difference_interval(((b - a) / runs).tolist())
        hits += low <= shift <= high
    assert 0.93 <= hits / times <= 0.97


@pytest.mark.parametrize(("before", "after"), [(0.95, 0.85), (0.9, 0.97), (0.95, 0.95)])
@pytest.mark.parametrize(("problems", "runs"), [(13, 3), (20, 3), (20, 5), (60, 1), (60, 5)])
def test_intervals_of_a_difference_in_a_few_problems_are_not_too_narrow(
    problems: int, runs: int, before: float, after: float
) -> None:
    draws = np.random.default_rng(3)
    power = math.log(after) / math.log(before)  # problems that are hard for one are for both
    chances = draws.beta(2 * before, 2 * (1 - before), (200_000, 1))
    true = float((chances**power - chances).mean())
    a = draws.beta(2 * before, 2 * (1 - before), (1000, problems))
    each = (draws.binomial(runs, a**power) - draws.binomial(runs, a)) / runs
    bounds = [stats.difference_interval(differences) for differences in each.tolist()]
    assert fmean(low <= true <= high for low, high in bounds) >= 0.92


@pytest.mark.parametrize("same", [0.0, 1.0, 1 / 3])
def test_equal_differences_still_have_an_interval(same: float) -> None:
    low, high = stats.difference_interval([same] * 13)
    assert -1 <= low < same <= high <= 1
    assert high - low > 0.3
    assert stats.min_detectable_difference([same] * 13) > 0.2


def test_the_minimum_detectable_difference_is_detected_in_8_of_10_cases() -> None:
    draws = np.random.default_rng(4)
    true = stats.min_detectable_difference((draws.normal(0, 0.5, 40)).tolist())
    detected = [
        scipy.stats.ttest_1samp(draws.normal(true, 0.5, 40), 0).pvalue <= 0.05 for _ in range(2000)
    ]
    assert 0.7 <= fmean(detected) <= 0.9


def test_pass_rates_are_compared_with_interval_and_p_value() -> None:
    a = result(alike(x=[1, 1, 1], y=[1, 1, 1], z=[0, 0, 0]))
    b = result(alike(x=[0, 0, 0], y=[1, 1, 0], z=[1, 1, 1]))
    (line,) = stats.compare([("a.csv", a), ("b.csv", b)]).differences.to_dicts()
    assert (line["baseline"], line["candidate"], line["problems"]) == ("a.csv", "b.csv", 9)
    assert (line["attempts_baseline"], line["attempts_candidate"]) == (27, 27)
    assert line["difference"] == pytest.approx(
        line["pass_rate_candidate"] - line["pass_rate_baseline"]
    )
    assert line["difference"] == pytest.approx((-1 - 1 / 3 + 1) / 9)
    each = [0] * 6 + [-1, -1 / 3, 1]
    theirs = scipy.stats.t.interval(0.95, 2 * 3, fmean(each), scipy.stats.sem(each))
    assert (line["ci_low"], line["ci_high"]) == pytest.approx(theirs)
    assert line["p_value"] == line["p_adjusted"] == pytest.approx(1.0)
    assert line["p_value_exact"]
    assert line["mcnemar_p"] is None


def test_flips_are_listed_the_worst_first() -> None:
    a = result(alike(x=[1, 1], y=[1, 1], z=[0, 1], w=[0, 0]))
    b = result(alike(x=[0, 0], y=[1, 0], z=[1, 1], w=[0, 1]))
    flips = stats.compare([("a", a), ("b", b)]).flips
    assert flips.select("problem_id", "change").rows() == [
        ("x", "broken"), ("y", "newly flaky"), ("w", "partly fixed"), ("z", "fixed"),
    ]  # fmt: skip


def test_single_runs_are_compared_by_mcnemars_test_too() -> None:
    a = result({f"p{i}": [1] for i in range(8)})
    b = result({f"p{i}": [int(i > 5)] for i in range(8)})
    (line,) = stats.compare([("a", a), ("b", b)]).differences.to_dicts()
    assert line["mcnemar_p"] == pytest.approx(2 / 2**6) == pytest.approx(line["p_value"])


def test_problems_that_cannot_be_paired_are_excluded_with_a_reason() -> None:
    a = result(alike(x=[1], gone=[1], unscored=[1]))
    b = result(alike(x=[0], new=[1], unscored=[1])).with_columns(
        pl.when(pl.col("problem_id") == "x")
        .then(pl.lit("other"))
        .otherwise("problem_sha256")
        .alias("problem_sha256"),
        pl.when(pl.col("problem_id") != "unscored").then("score").alias("score"),
    )
    compared = stats.compare([("a", a), ("b", b)])
    assert compared.differences["problems"].to_list() == [6]
    assert dict(compared.excluded.select("problem_id", "reason").iter_rows()) == {
        "x": "has changed: its task, tests or settings differ",
        "gone": "not in b",
        "new": "not in a",
        "unscored": "has no scored attempt in b",
    }


def test_the_error_says_why_no_problem_pairs() -> None:
    a, b = result({"x": [1]}), result({"x": [1]}, problem_sha256="other")
    with pytest.raises(ResultFileError, match="no scored problem in common: x has changed"):
        stats.compare([("a", a), ("b", b)])
    with pytest.raises(ResultFileError, match=r"nothing to compare: there is lmstudio/m;"):
        stats.compare([("a", a)])
    with pytest.raises(ResultFileError, match="baseline q: no such target; there are: lmstudio/m"):
        stats.compare([("a", a), ("b", b)], baseline="q")


def test_a_pair_without_a_common_problem_leaves_the_other_pairs_comparable() -> None:
    a = pl.concat([result(alike(), target=target) for target in ("x", "y")])
    lost = {"score": pl.lit(None, pl.Float64), "passed": pl.lit(None, pl.Boolean)}
    b = pl.concat([a.filter(target="x"), a.filter(target="y").with_columns(**lost)])
    compared = stats.compare([("a", a), ("b", b)])
    (line,) = compared.differences.to_dicts()
    assert (line["baseline"], line["unscored_baseline"], line["unscored_candidate"]) == (
        "a x",
        0,
        0,
    )
    (sentence,) = compared.incomparable
    assert sentence.startswith("a y and b y have no scored problem in common: same-0 has no scored")
    assert compared.unpaired == ()


def test_attempts_without_a_score_are_counted() -> None:
    a, b = result(alike(x=[1, 1, 1])), result(alike(x=[1, 1, 1]))
    lost = pl.when((pl.col("problem_id") == "x") & (pl.col("run") > 1))
    b = b.with_columns(
        lost.then(None).otherwise("score").alias("score"),
        lost.then(None).otherwise("passed").alias("passed"),
    )
    (line,) = stats.compare([("a", a), ("b", b)]).differences.to_dicts()
    assert line["attempts_candidate"] == 19
    assert (line["unscored_baseline"], line["unscored_candidate"]) == (0, 2)


def with_targets(*targets: str) -> pl.DataFrame:
    return pl.concat([result(alike(), target=target) for target in targets])


@pytest.mark.parametrize(
    ("files", "baseline", "pairs"),
    [
        ([["x", "y", "z"]], None, [("x", "y"), ("x", "z"), ("y", "z")]),
        ([["x", "y", "z"]], "y", [("y", "x"), ("y", "z")]),
        ([["x"], ["x"]], None, [("f0", "f1")]),
        ([["x"], ["y"], ["z"]], None, [("f0 x", "f1 y"), ("f0 x", "f2 z")]),
        ([["x", "y"], ["y", "x"]], None, [("f0 y", "f1 y"), ("f0 x", "f1 x")]),
        ([["x", "y"], ["z", "x"]], None, [("f0 x", "f1 x")]),
        ([["x", "y"], ["z"]], "y", [("f0 y", "f0 x"), ("f0 y", "f1 z")]),
    ],
)
def test_results_pair_by_target_or_with_the_baseline(
    files: list[list[str]], baseline: str | None, pairs: list[tuple[str, str]]
) -> None:
    named = [(f"f{i}", with_targets(*targets)) for i, targets in enumerate(files)]
    compared = stats.compare(named, baseline)
    assert compared.differences.select("baseline", "candidate").rows() == pairs
    names = sum(map(len, files))
    assert len(compared.unpaired) == names - len({name for pair in pairs for name in pair})


def test_p_values_of_several_pairs_are_corrected_for_their_number() -> None:
    good = {f"p{i}": [1, 1] for i in range(8)}
    bad = {f"p{i}": [0, 0] for i in range(8)}
    named = [("a", result(good)), ("b", result(bad)), ("c", result(good)), ("d", result(bad))]
    lines = stats.compare(named).differences
    assert lines["p_value"].to_list() == pytest.approx([2 / 256, 1, 2 / 256])
    assert lines["p_adjusted"].to_list() == pytest.approx([6 / 256, 1, 6 / 256])


def test_a_result_equals_itself() -> None:
    same = result(alike(x=[1, 0, 0]))
    compared = stats.compare([("a.csv", same), ("a.csv", same)])
    (line,) = compared.differences.to_dicts()
    assert (line["difference"], line["p_value"]) == (0, 1)
    assert line["ci_low"] < 0 < line["ci_high"]
    assert compared.flips.is_empty()
    assert compared.regressions().is_empty()
    assert compared.regressions(0).is_empty()


def test_a_regression_is_significant_or_larger_than_the_points() -> None:
    a = result({f"p{i}": [1] for i in range(20)})
    two_down = result({f"p{i}": [int(i > 1)] for i in range(20)})
    many_down = result({f"p{i}": [int(i > 7)] for i in range(20)})
    few = stats.compare([("a", a), ("b", two_down)])
    assert few.regressions().is_empty()
    assert len(few.regressions(5)) == 1
    assert few.regressions(10).is_empty()  # it fell by ten points, not by more
    assert len(stats.compare([("a", a), ("b", many_down)]).regressions()) == 1
    assert stats.compare([("a", many_down), ("b", a)]).regressions().is_empty()


def test_metrics_are_compared_where_both_results_have_them() -> None:
    a = result(alike(), llm_seconds=2.0, cost_usd=None)
    b = result(alike(), llm_seconds=3.0, cost_usd=0.1)
    lines = {m["metric"]: m for m in stats.compare([("a", a), ("b", b)]).metrics.to_dicts()}
    assert "cost_usd" not in lines
    seconds = lines["llm_seconds"]
    assert (seconds["value_baseline"], seconds["value_candidate"], seconds["difference"]) == (
        2,
        3,
        1,
    )
    assert (seconds["ci_low"], seconds["ci_high"], seconds["unit"]) == (1, 1, "s")


def test_few_problems_cannot_show_a_difference() -> None:
    assert stats.min_p_value(5) > stats.ALPHA > stats.min_p_value(6)
    assert math.isclose(stats.min_p_value(1), 1)
