"""Tests within problems: against enumeration, Fisher's exact test, and simulation."""

import math
from itertools import combinations, product
from statistics import fmean

import numpy as np
import pytest
import scipy.stats
from helpers.factories import result
from hypothesis import given, settings
from hypothesis import strategies as st

from llmbench import stats
from llmbench.stats import Passes, within

SMALL: st.SearchStrategy[Passes] = st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda n: st.builds(
        Passes, st.just(n[0]), st.integers(0, n[0]), st.just(n[1]), st.integers(0, n[1])
    )
)


def difference(before: list[int], after: list[int]) -> float:
    return fmean(after) - fmean(before)


@settings(max_examples=40, deadline=None)
@given(st.lists(SMALL, min_size=1, max_size=3))
def test_the_p_value_is_the_share_of_all_permutations_within_problems(
    problems: list[Passes],
) -> None:
    choices, observed = [], 0.0
    for p in problems:
        runs = [1] * p.before + [0] * (p.runs_before - p.before)
        runs += [1] * p.after + [0] * (p.runs_after - p.after)
        observed += difference(runs[: p.runs_before], runs[p.runs_before :])
        choices.append(
            [
                difference(
                    [runs[i] for i in range(len(runs)) if i not in chosen],
                    [runs[i] for i in chosen],
                )
                for chosen in combinations(range(len(runs)), p.runs_after)
            ]
        )
    extreme = [sum(choice) <= observed + 1e-9 for choice in product(*choices)]
    p_value = stats.fewer_passes(problems)
    assert p_value.exact
    assert p_value.value == pytest.approx(fmean(extreme))


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_for_one_problem_it_is_fishers_exact_test(n: int, m: int, data: st.DataObject) -> None:
    before, after = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    table = np.array([[after, m - after], [before, n - before]])
    theirs = scipy.stats.fisher_exact(table, alternative="less").pvalue
    ours = stats.fewer_passes([Passes(n, before, m, after)])
    assert ours.value == pytest.approx(theirs)


def test_it_equals_the_permutation_test_of_scipy_within_two_problems() -> None:
    problems = [Passes(4, 4, 4, 1), Passes(4, 3, 4, 2)]
    (one, two) = (scipy.stats.hypergeom(8, p.before + p.after, 4).pmf(range(5)) for p in problems)
    exact = sum(one[i] * two[j] for i in range(5) for j in range(5) if i + j <= 3)
    assert stats.fewer_passes(problems).value == pytest.approx(exact)


@pytest.mark.parametrize(("problems", "runs"), [(5, 3), (5, 2), (2, 4)])
def test_problems_that_all_break_have_a_closed_form(problems: int, runs: int) -> None:
    p = stats.fewer_passes([Passes(runs, runs, runs, 0)] * problems)
    assert p.exact
    assert p.value == pytest.approx(math.comb(2 * runs, runs) ** -problems)
    assert stats.fewer_passes([Passes(runs, 0, runs, runs)] * problems).value == pytest.approx(1)


def test_problems_that_always_end_alike_say_nothing() -> None:
    assert stats.fewer_passes([Passes(3, 3, 3, 3), Passes(2, 0, 5, 0)]) == (1.0, True)
    alone = stats.fewer_passes([Passes(3, 3, 3, 0)])
    assert stats.fewer_passes([Passes(3, 3, 3, 0), Passes(9, 9, 7, 7)]) == alone


def test_drawn_permutations_agree_with_counted_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [Passes(3, 3, 2, 1), Passes(5, 3, 4, 2), Passes(7, 6, 3, 2), Passes(2, 1, 3, 1)]
    exact = stats.fewer_passes(problems)
    monkeypatch.setattr(within, "EXACT_TERMS", 0)
    drawn = stats.fewer_passes(problems)
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.value == pytest.approx(exact.value, abs=0.005)
    assert stats.fewer_passes([Passes(3, 3, 3, 0)] * 30).value > 0


def test_unequal_numbers_of_many_runs_take_no_more_than_seconds() -> None:
    draws = np.random.default_rng(1)
    sizes = draws.integers(60, 100, 66).tolist()
    problems = [Passes(n, n // 2, 3, int(draws.integers(0, 4))) for n in sizes]
    assert 0 < stats.fewer_passes(problems).value <= 1


@pytest.mark.parametrize(
    ("problems", "runs", "broken", "least"),
    [(66, 3, 0.1, 0.45), (66, 5, 0.1, 0.7), (13, 5, 0.2, 0.6)],
)
def test_broken_problems_are_found_more_often_than_not_and_chance_in_one_of_twenty(
    problems: int, runs: int, broken: float, least: float
) -> None:
    draws = np.random.default_rng(3)
    found = {0.0: 0, broken: 0}
    for share in found:
        for _ in range(400):
            rates = draws.beta(0.6, 0.3, problems)
            after = np.where(np.arange(problems) < round(share * problems), 0, rates)
            pairs = [
                Passes(runs, old, runs, new)
                for old, new in zip(
                    draws.binomial(runs, rates).tolist(),
                    draws.binomial(runs, after).tolist(),
                    strict=True,
                )
            ]
            found[share] += stats.fewer_passes(pairs).value <= stats.ALPHA
    assert found[broken] / 400 >= least
    assert found[0.0] / 400 <= 0.06


def test_five_problems_that_all_break_are_a_regression_that_the_sign_flip_cannot_see() -> None:
    good, bad = ({f"p{i}": [passed] * 3 for i in range(5)} for passed in (1, 0))
    compared = stats.compare([("a", result(good)), ("b", result(bad))])
    (line,) = compared.regressions().to_dicts()
    assert line["p_value"] == pytest.approx(2 / 2**5)
    assert line["p_regression"] == line["p_regression_adjusted"] == pytest.approx(20**-5)
    assert line["p_regression_exact"]
    assert stats.compare([("b", result(bad)), ("a", result(good))]).regressions().is_empty()
