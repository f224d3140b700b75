"""The order of the attempts of a plan."""

from dataclasses import replace

from helpers.factories import attempt

from llmbench.plan import EndpointPlan, Plan, bundled_dir


def plan(*, local: bool) -> Plan:
    a, b = attempt(model="a").target, attempt(model="b").target
    problems = (attempt(problem_id="p").problem, attempt(problem_id="q").problem)
    return Plan((EndpointPlan((a, b), 1, local=local),), problems, 2, 1, 45.0)


def order(*, local: bool) -> list[str]:
    return [f"{a.target.model}{a.problem.id}{a.run}" for a in plan(local=local).attempts()]


def test_a_local_server_finishes_one_model_before_the_next() -> None:
    assert order(local=True) == ["ap1", "aq1", "ap2", "aq2", "bp1", "bq1", "bp2", "bq2"]


def test_groups_hold_one_model_each_in_any_order_of_reading() -> None:
    (endpoint,) = plan(local=True).endpoints
    groups = list(endpoint.groups(plan(local=True).problems, 2))
    models = [{a.target.model for a in group} for group in reversed(groups)]
    assert models == [{"b"}, {"a"}]


def test_a_remote_server_finishes_run_1_of_everything_before_run_2() -> None:
    assert order(local=False) == ["ap1", "bp1", "aq1", "bq1", "ap2", "bp2", "aq2", "bq2"]


def test_the_size_is_the_number_of_attempts() -> None:
    assert plan(local=True).size == len(order(local=True)) == 8


def test_the_outline_counts_in_the_singular_and_in_the_plural() -> None:
    many = plan(local=True)
    assert many.outline == "8 attempts: 2 targets × 2 problems × 2 runs"
    one = replace(many, problems=many.problems[:1], runs=1)
    assert one.outline == "2 attempts: 2 targets × 1 problem × 1 run"


def test_problems_and_runners_come_with_llmbench() -> None:
    assert list(bundled_dir("problems").glob("*.yaml"))
    assert list(bundled_dir("runners").glob("*/runner.yaml"))
