"""Difficulty and discrimination of problems: against numpy, and what is null."""

import numpy as np
import polars as pl
import pytest
from helpers.factories import Passes, result

from llmbench import stats


def table(*targets: Passes) -> pl.DataFrame:
    return pl.concat([result(passes, target=f"t{i}") for i, passes in enumerate(targets)])


def test_the_discrimination_is_the_item_rest_correlation_over_targets() -> None:
    draws = np.random.default_rng(3)
    passed = draws.random((6, 9, 4)) < draws.random((6, 1, 1)) * 0.8 + 0.1
    targets: list[Passes] = [
        {f"p{j}": each.astype(int).tolist() for j, each in enumerate(target)} for target in passed
    ]
    rates = passed.mean(axis=2)
    for line in stats.item_statistics(table(*targets)).to_dicts():
        item = int(line["problem_id"][1:])
        rest = np.delete(rates, item, axis=1).mean(axis=1)
        assert line["discrimination"] == pytest.approx(np.corrcoef(rates[:, item], rest)[0, 1])
        assert line["pass_rate"] == pytest.approx(rates[:, item].mean())
        assert (line["targets"], line["scored"]) == (6, 24)


def test_problems_that_tell_nothing_are_named_and_a_saturated_set_is_told() -> None:
    good: Passes = {"a": [1, 1], "b": [1, 1], "c": [1, 1], "d": [1, 0], "e": [0, 0]}
    bad: Passes = good | {"d": [0, 0]}
    items = stats.item_statistics(table(good, bad, bad))
    assert items["solved"].to_list() == ["always"] * 3 + ["sometimes", "never"]
    assert items["discrimination"].to_list() == [None] * 5  # the rest is the same for all
    sentence = stats.saturation(items)
    assert "Of 5 problems 3 are always solved and 1 never" in sentence
    assert sentence.endswith("The set is saturated: it needs harder problems.")
    assert stats.saturation(items.filter(solved="sometimes")) == ""
    some = stats.item_statistics(table(good | {"a": [0, 1], "b": [0, 1]}))
    assert "saturated" not in stats.saturation(some)


def test_two_targets_have_no_correlation_and_a_wrong_problem_is_below_zero() -> None:
    ranks: list[Passes] = [
        {"a": [1], "b": [1], "c": [1], "wrong": [0]},
        {"a": [1], "b": [1], "c": [0], "wrong": [0]},
        {"a": [1], "b": [0], "c": [0], "wrong": [1]},
    ]
    items = dict(
        stats.item_statistics(table(*ranks)).select("problem_id", "discrimination").iter_rows()
    )
    assert items["wrong"] == pytest.approx(-np.sqrt(3) / 2)
    assert items["a"] is None
    two = stats.item_statistics(table(*ranks[:2]))
    assert two["discrimination"].null_count() == 4


def test_unscored_runs_are_in_no_figure() -> None:
    lost = table({"a": [1, 1]}).with_columns(
        score=pl.when(pl.col("run") == 1).then("score"),
        passed=pl.when(pl.col("run") == 1).then("passed"),
    )
    (line,) = stats.item_statistics(lost).to_dicts()
    assert (line["scored"], line["pass_rate"], line["solved"]) == (1, 1, "always")
