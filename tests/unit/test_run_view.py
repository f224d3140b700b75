"""The view of a run: rows, repairs, missing and changed attempts, from one reading."""

from pathlib import Path

from helpers.factories import attempt
from helpers.views import open_run

from llmbench import prompts
from llmbench.plan import EndpointPlan, Plan
from llmbench.runs.view import Remaining, RunView

ONE = attempt(run=1)


def plan(runs: int = 2, repairs: int = 0, timeout: float = 9.0) -> Plan:
    endpoint = EndpointPlan((ONE.target,), 1)
    return Plan((endpoint,), (ONE.problem,), runs, 1, timeout, max_repairs=repairs)


def remaining(view: RunView) -> list[tuple[int, int]]:
    return [(a.run, a.round) for _, groups in view.workloads() for group in groups for a in group]


def test_every_attempt_of_a_new_run_remains(tmp_path: Path) -> None:
    with open_run(tmp_path, plan()) as run:
        assert remaining(run.view) == [(1, 1), (2, 1)]
        assert list(run.view.rows()) == []
        assert run.view.missing().total() == 2


def test_rows_that_a_run_writes_are_in_the_view_at_once(tmp_path: Path) -> None:
    with open_run(tmp_path, plan()) as run:
        written = [run.write(attempt(run=2), "passed"), run.write(attempt(run=1), "failed")]
        assert list(run.view.rows()) == [written[1], written[0]]
        assert run.view.missing().total() == 0


def test_attempts_without_a_result_remain_in_a_resumed_run(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(runs=4)) as run:
        run.write(attempt(run=1), "passed")
        run.write(attempt(run=2), "sandbox_error")
        run.write(attempt(run=3), None)
    with open_run(tmp_path, plan(runs=4)) as again:
        assert remaining(again.view) == [(2, 1), (3, 1), (4, 1)]
        counts = again.view.resume(again.changes.append)
        assert counts == Remaining(1, 2, 1, frozenset({ONE.target.label}))
        assert again.changes == []
        assert [each.run for each in again.view.rows()] == [1, 2]


def test_results_under_another_time_limit_do_not_count_and_are_reported(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(runs=1)) as run:
        run.write(ONE, "passed")
    with open_run(tmp_path, plan(runs=1, timeout=5.0)) as again:
        assert [(change.problem_changed, change.only_graded) for change in again.changes] == [
            (False, True)
        ]
        assert list(again.view.rows()) == []
        assert remaining(again.view) == [(1, 1)]


def test_a_repair_is_due_after_a_failure_and_missing_until_it_has_a_row(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(runs=1, repairs=2)) as run:
        failed = run.write(ONE, "failed")
        assert failed is not None
        assert run.view.missing_repairs().total() == 1
        second = prompts.repair_attempt(ONE, "text", failed)
        repaired = run.write(second, "passed")
        assert list(run.view.repairs()) == [repaired]
        assert run.view.missing_repairs().total() == 0
    with open_run(tmp_path, plan(runs=1, repairs=2)) as again:
        assert list(again.view.repairs()) == [repaired]
        assert remaining(again.view) == []


def test_a_resumed_run_continues_with_the_repair_that_is_due(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(runs=1)) as run:
        run.write(ONE, "failed")
    with open_run(tmp_path, plan(runs=1, repairs=1)) as again:
        assert remaining(again.view) == [(1, 2)]


def test_attempts_outside_the_plan_are_counted(tmp_path: Path) -> None:
    with open_run(tmp_path, plan(runs=3)) as run:
        for number in (1, 2, 3):
            run.write(attempt(run=number), "passed")
    with open_run(tmp_path, plan(runs=1)) as again:
        assert again.view.outside_plan() == 2
        assert len(list(again.view.rows())) == 1
