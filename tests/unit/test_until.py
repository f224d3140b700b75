"""`--until`: how many runs a target gets, what is told of it, and the same decisions on resuming.

The interval of a single problem is Wilson's. With n runs that all pass it reaches z² / (n + z²)
below the rate, z = 1.96: 56.2 points at 3 runs, 49.0 at 4, 43.4 at 5.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.factories import attempt
from helpers.simulations import line_of
from helpers.views import OpenRun, open_run
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmbench import stats
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import Attempt
from llmbench.runs.options import RunOptions

Outcomes = Callable[[Attempt], str]


def plan(
    until: float | None,
    problems: int = 1,
    models: str = "m",
    runs: int = 10,
    *,
    local: bool = False,
    repairs: int = 0,
) -> Plan:
    targets = tuple(attempt(model=model).target for model in models)
    chosen = tuple(attempt(problem_id=f"p{number}").problem for number in range(problems))
    endpoint = EndpointPlan(targets, 1, local=local)
    return Plan((endpoint,), chosen, runs, 1, 9.0, max_repairs=repairs, until=until)


def play(run: OpenRun, outcome_of: Outcomes, most: int = 10**6) -> list[list[str]]:
    """Do what remains of a run, at most so many attempts; returns the attempts group by group."""
    done: list[list[str]] = []
    for _, groups in run.view.workloads():
        for group in groups:
            done.append([])
            for each in group:
                if sum(map(len, done)) >= most:
                    return done
                run.write(each, outcome_of(each))
                done[-1].append(f"{each.target.model} {each.problem.id} {each.run}")
    return done


def passing(_: Attempt) -> str:
    return "passed"


def mixed(each: Attempt) -> str:
    """Odd problems pass at every other run, the others always."""
    return "passed" if int(each.problem.id[1:]) % 2 == 0 or each.run % 2 else "failed"


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
def test_the_margin_is_the_larger_distance_of_the_bounds_in_the_summary(passes: list[int]) -> None:
    line = line_of([(4, each) for each in passes])
    distance = max(line["pass_rate"] - line["ci_low"], line["ci_high"] - line["pass_rate"])
    assert stats.margin(passes, [4] * len(passes)) == pytest.approx(distance)


@pytest.mark.parametrize(("mean", "until"), [(0.9, 11), (0.667, 11)])
def test_the_interval_at_the_stop_covers_the_true_rate_in_93_of_100_cases_or_more(
    mean: float, until: float
) -> None:
    draws = np.random.default_rng(5)
    covered = saved = 0
    for _ in range(400):
        outcomes = draws.random((30, 10)) < draws.beta(3 * mean, 3 * (1 - mean), (30, 1))
        count = 3
        while count < 10 and 100 * stats.margin(*tally(outcomes, count)) > until:
            count += 1
        low, high = stats.pass_rate_interval(*tally(outcomes, count))
        covered += low <= mean <= high
        saved += 10 - count
    assert covered / 400 >= 0.93 - 2 * (0.93 * 0.07 / 400) ** 0.5  # the error of the simulation
    assert saved / 4000 > 0.1


def tally(outcomes: NDArray[np.bool_], count: int) -> tuple[list[int], list[int]]:
    """Return the passes and the runs of each problem after so many runs."""
    return outcomes[:, :count].sum(axis=1).tolist(), [count] * len(outcomes)


@pytest.mark.parametrize(("until", "runs"), [(50, 4), (49, 4), (48.9, 5), (28, 10), (1, 10)])
def test_runs_are_added_until_the_interval_is_narrow_enough_or_the_most_is_reached(
    tmp_path: Path, until: float, runs: int
) -> None:
    with open_run(tmp_path, plan(until)) as run:
        groups = play(run, passing)
        assert groups[0] == ["m p0 1", "m p0 2", "m p0 3"]
        assert groups[1:] == [[f"m p0 {number}"] for number in range(4, runs + 1)]
        assert run.view.missing().total() == 0
        assert run.view.until.size == len(list(run.view.rows())) == runs


def test_fewer_runs_than_the_first_are_never_exceeded(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(1, runs=2)) as run:
        assert play(run, passing) == [["m p0 1", "m p0 2"]]


def test_without_until_all_runs_are_made(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(None, runs=5)) as run:
        assert len(play(run, passing)[0]) == 5
        assert list(run.view.until.report()) == []


def test_each_target_stops_on_its_own_and_the_saving_is_told(tmp_path: Path) -> None:
    def outcome(each: Attempt) -> str:
        return "passed" if each.target.model == "a" or each.run % 2 else "failed"

    with open_run(tmp_path, plan(31, models="ab")) as run:
        play(run, outcome)
        assert Counter(row.target[-1] for row in run.view.rows()) == {"a": 9, "b": 8}
        assert list(run.view.until.report()) == [
            "--until 31: 3 of 20 attempts were not needed",
            "lmstudio/a is within ± 30 points after 9 of at most 10 runs",
            "lmstudio/b is within ± 28.5 points after 8 of at most 10 runs",
        ]


def test_an_interval_that_stays_too_wide_is_told(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(20, runs=4)) as run:
        play(run, passing)
        assert list(run.view.until.report()) == [
            "--until 20: 0 of 4 attempts were not needed",
            "lmstudio/m is within ± 49 points only, after all 4 runs",
        ]


def test_a_run_that_is_added_begins_with_the_problems_whose_runs_disagree(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(1, problems=4, runs=4)) as run:
        first, added = play(run, mixed)
        assert len(first) == 12
        assert added == ["m p1 4", "m p3 4", "m p0 4", "m p2 4"]


def test_a_local_server_ends_a_model_before_it_begins_the_next(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(48, models="ab", local=True)) as run:
        order = [each for group in play(run, passing) for each in group]
        assert order == [f"{model} p0 {number}" for model in "ab" for number in range(1, 6)]


def test_attempts_without_a_score_are_no_evidence(tmp_path: Path) -> None:
    def outcome(each: Attempt) -> str:
        return "sandbox_error" if each.run == 2 else "passed"

    with open_run(tmp_path, plan(50)) as run:
        play(run, outcome)
        assert run.view.until.runs_needed() == {"lmstudio/m": 5}


def test_a_target_without_any_score_gets_all_runs_and_is_not_said_to_be_decided(
    tmp_path: Path,
) -> None:
    with open_run(tmp_path, plan(50, runs=4)) as run:
        play(run, lambda each: "provider_error")
        assert list(run.view.until.report()) == [
            "--until 50: 0 of 4 attempts were not needed",
            "lmstudio/m: not decided, because attempts have no result",
        ]


@pytest.mark.parametrize("until", [20, 30, 40])
@pytest.mark.parametrize("pause", [1, 4, 7])
def test_a_run_that_is_resumed_again_and_again_makes_the_attempts_of_one_that_is_not(
    tmp_path: Path, until: float, pause: int
) -> None:
    whole = plan(until, problems=4, models="ab")
    with open_run(tmp_path / "whole", whole) as run:
        play(run, mixed)
        expected = list(run.view.rows())
    made: list[str] = []
    while True:
        with open_run(tmp_path / "parts", whole) as run:
            if made and len(made) < len(expected):
                assert run.view.missing().total() > 0
                assert sum("not decided" in line for line in run.view.until.report()) > 0
            part = [each for group in play(run, mixed, pause) for each in group]
            made += part
            if not part:
                assert list(run.view.rows()) == expected
                break
    assert len(made) == len(set(made)) == len(expected)


def test_a_resumed_run_counts_what_the_next_decision_needs(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(48)) as run:
        play(run, passing, most=2)
        assert run.view.missing().total() == 1
    with open_run(tmp_path, plan(48)) as again:
        remaining = again.view.resume(lambda change: None)
        assert (remaining.done, remaining.to_grade, remaining.to_ask) == (2, 0, 1)
        play(again, passing)
    with open_run(tmp_path, plan(48)) as complete:
        remaining = complete.view.resume(lambda change: None)
        assert remaining == (5, 0, 0, frozenset())


def test_a_smaller_until_continues_and_a_larger_one_keeps_what_there_is(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(48)) as run:
        play(run, passing)
    with open_run(tmp_path, plan(50)) as larger:
        assert play(larger, passing) == [[], [], []]
        assert len(list(larger.view.rows())) == 5
    with open_run(tmp_path, plan(38)) as smaller:
        assert [each for group in play(smaller, passing) for each in group] == ["m p0 6", "m p0 7"]


def test_first_answers_decide_and_not_repairs(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(50, repairs=1)) as run:
        play(run, lambda each: "failed")
        assert run.view.until.runs_needed() == {"lmstudio/m": 4}
        assert run.view.missing().total() == 0


def test_the_outline_says_at_most() -> None:
    assert plan(2.5, problems=2, models="ab").outline == (
        "at most 40 attempts: 2 targets × 2 problems × 10 runs, until each pass rate is within "
        "± 2.5 points"
    )


@pytest.mark.parametrize(
    ("values", "most"),
    [({}, 3), ({"until": 5}, 10), ({"until": 5, "runs": 3}, 3), ({"runs": 7}, 7)],
)
def test_until_alone_allows_ten_runs(values: dict[str, object], most: int) -> None:
    assert RunOptions.from_values(values).most_runs == most
