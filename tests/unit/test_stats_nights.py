"""The verdict on a night: closed forms, states, and false alarms."""

import numpy as np
import polars as pl
import pytest
from helpers.factories import Passes, result

from llmbench import stats
from llmbench.stats import State

GOOD: Passes = {f"p{i}": [1, 1] for i in range(5)}
BAD: Passes = {f"p{i}": [0, 0] for i in range(5)}


def judge(*nights: Passes, accepted: int = 0, points: float | None = None) -> dict[str, object]:
    results = [(f"2026-01-{day:02}", result(each)) for day, each in enumerate(nights, 1)]
    chosen = {"lmstudio/m": results[accepted][0]}
    (line,) = stats.judge(results, chosen, points).to_dicts()
    return line


def test_the_second_night_is_one_comparison_in_a_month() -> None:
    line = judge(GOOD, BAD)
    assert (line["state"], line["difference"]) == (State.REGRESSION, -1)
    assert line["p_month"] == pytest.approx(6**-5 * stats.MONTH)


def test_later_nights_share_the_level_of_a_night() -> None:
    line = judge(GOOD, BAD, BAD)
    # A change point alone: of four runs after and two before, all after fail.
    assert line["p_month"] == pytest.approx(15**-5 * 2 * stats.MONTH)
    assert line["since"] == "2026-01-02"
    line = judge(GOOD, GOOD, BAD)
    assert line["p_month"] == pytest.approx(15**-5 * 4 * stats.MONTH)
    assert line["since"] == "2026-01-03"


def test_a_fall_that_is_over_raises_no_alarm() -> None:
    line = judge(GOOD, GOOD, BAD, BAD, GOOD)
    assert (line["state"], line["p_month"]) == (State.STEADY, 1)


def test_the_accepted_night_decides_what_is_worse() -> None:
    assert judge(GOOD, BAD, BAD, accepted=1)["state"] == State.STEADY
    assert judge(BAD, GOOD, BAD, accepted=0)["state"] == State.STEADY
    assert judge(BAD, GOOD, BAD, accepted=1)["state"] == State.REGRESSION


def test_points_decide_alone_where_they_are_given() -> None:
    slight: Passes = GOOD | {"p0": [1, 0]}
    assert judge(GOOD, slight, points=9)["state"] == State.REGRESSION
    assert judge(GOOD, slight, points=10)["state"] == State.STEADY
    assert judge(GOOD, BAD, points=100)["state"] == State.STEADY


def test_without_an_accepted_night_or_a_common_problem_there_is_nothing_to_compare() -> None:
    old, new = result(GOOD, problem_sha256="old"), result(GOOD, problem_sha256="new")
    results = [("a", old), ("b", new)]
    for accepted, state in (({}, State.FIRST), ({"lmstudio/m": "a"}, State.CHANGED)):
        (line,) = stats.judge(results, accepted).to_dicts()
        assert (line["state"], line["difference"], line["p_month"]) == (state, None, None)
    lost = new.with_columns(score=pl.lit(None, pl.Float64), passed=pl.lit(None, pl.Boolean))
    assert stats.judge([("a", old), ("b", lost)], {"lmstudio/m": "a"}).is_empty()


def test_nights_without_a_change_hardly_ever_raise_an_alarm() -> None:
    draws = np.random.default_rng(2)
    alarms = 0
    for _ in range(20):
        rates = draws.beta(0.6, 0.3, 10)
        month = [
            {f"p{i}": (draws.random(2) < rate).astype(int).tolist() for i, rate in enumerate(rates)}
            for _ in range(10)
        ]
        alarms += any(judge(*month[:night])["state"] == State.REGRESSION for night in range(2, 11))
    assert alarms <= 1
