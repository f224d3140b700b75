"""Flips and their false discoveries: against Fisher's test, enumeration and simulation."""

from math import comb

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from llmbench import stats
from llmbench.stats import Passes


def passes(*pairs: tuple[int, int], runs: int = 3) -> list[Passes]:
    return [Passes(runs, before, runs, after) for before, after in pairs]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (3, 0, "broken"), (1, 0, "broken"), (3, 1, "newly flaky"), (0, 1, "partly fixed"),
        (0, 3, "fixed"), (1, 3, "fixed"),
    ],
)  # fmt: skip
def test_each_change_has_its_own_word(before: int, after: int, change: str) -> None:
    (flip,) = stats.find_flips(passes((before, after)))
    assert flip.change == change


def test_a_change_among_problems_that_sometimes_pass_is_listed_as_a_finding_only() -> None:
    found = stats.find_flips([Passes(20, 19, 20, 2), Passes(20, 3, 20, 18), Passes(20, 9, 20, 11)])
    assert [(flip.index, flip.change, flip.is_finding) for flip in found] == [
        (0, "worse", True),
        (1, "better", True),
    ]


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_the_p_value_of_a_flip_is_that_of_fishers_exact_test(
    n: int, m: int, data: st.DataObject
) -> None:
    before, after = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    for flip in stats.find_flips([Passes(n, before, m, after)]):
        table = np.array([[after, m - after], [before, n - before]])
        if after / m < before / n:
            theirs = scipy.stats.fisher_exact(table, alternative="less").pvalue
        else:
            theirs = scipy.stats.fisher_exact(table, alternative="greater").pvalue
        assert flip.p_value == pytest.approx(theirs)


def test_a_single_run_finds_nothing_and_problems_that_never_change_cost_nothing() -> None:
    assert not any(flip.is_finding for flip in stats.find_flips(passes((1, 0), runs=1)))
    stable = [(3, 3)] * 50 + [(0, 0)] * 11
    found = stats.find_flips(passes(*[(3, 0)] * 5, *stable))
    assert [flip.is_finding for flip in found] == [True] * 5
    # One test in twenty of the other problems could have come out so.
    flaky = [(2, 1)] * 30
    assert not any(flip.is_finding for flip in stats.find_flips(passes((3, 0), *flaky)))


def test_with_many_runs_the_findings_are_those_of_benjamini_and_hochberg() -> None:
    draws = np.random.default_rng(1)
    after = draws.binomial(200, np.where(np.arange(40) < 8, 0.2, 0.5)).tolist()
    problems = [Passes(200, 100, 200, each) for each in after]
    p_values = [
        scipy.stats.fisher_exact(np.array([[c, 200 - c], [100, 100]]), alternative="less").pvalue
        for c in after
    ]
    theirs = scipy.stats.false_discovery_control(p_values) <= stats.FALSE_DISCOVERIES
    worse = {f.index for f in stats.find_flips(problems) if f.change == "worse"}
    # Discrete tests attain slightly less than the levels of continuous ones.
    assert set(range(8)) <= worse
    assert len(worse ^ set(np.flatnonzero(theirs).tolist())) <= 1


def test_the_flips_of_chance_are_counted_over_all_permutations() -> None:
    # Of 6 runs with 3 passes, 2 of 20 ways are never to always, the others are sometimes to both.
    assert stats.flips_by_chance(passes((3, 0))) == pytest.approx(2 / comb(6, 3))
    assert stats.flips_by_chance(passes((1, 0))) == pytest.approx(1)
    assert stats.flips_by_chance(passes((3, 3), (0, 0))) == 0


@pytest.mark.parametrize(("runs", "broken"), [(3, 0), (3, 7), (5, 7), (10, 7)])
def test_at_most_one_in_ten_findings_is_chance(runs: int, broken: int) -> None:
    draws = np.random.default_rng(7)
    shares = []
    for _ in range(120):
        rates = draws.beta(0.6, 0.3, 66)
        later = np.where(np.arange(66) < broken, 0, rates)
        before, after = draws.binomial(runs, rates).tolist(), draws.binomial(runs, later).tolist()
        problems = [Passes(runs, b, runs, a) for b, a in zip(before, after, strict=True)]
        found = [flip.index for flip in stats.find_flips(problems) if flip.is_finding]
        shares.append(sum(index >= broken for index in found) / max(1, len(found)))
    assert np.mean(shares) <= 0.12


def test_two_draws_of_one_model_move_about_as_many_problems_as_chance_explains() -> None:
    draws = np.random.default_rng(9)
    moved, expected = 0.0, 0.0
    for _ in range(150):
        rates = draws.beta(0.6, 0.3, 66)
        before, after = draws.binomial(3, rates).tolist(), draws.binomial(3, rates).tolist()
        problems = [Passes(3, b, 3, a) for b, a in zip(before, after, strict=True)]
        moved += len(stats.find_flips(problems))
        expected += stats.flips_by_chance(problems)
    assert moved == pytest.approx(expected, rel=0.05)
