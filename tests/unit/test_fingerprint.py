"""Hashes find an answer or result again as long as nothing that decided it has changed."""

from dataclasses import replace

import pytest
from helpers.factories import attempt

from llmbench import fingerprint
from llmbench.records import Attempt, Message, Sampling

MESSAGES = (Message("system", "Be brief."), Message("user", "Write add."))
ONE = attempt()


def target(**changes: object) -> Attempt:
    return replace(ONE, target=replace(ONE.target, **changes))  # type: ignore[arg-type]


def test_the_hashes_stay_those_of_earlier_versions() -> None:
    # If they change, resumed runs request and pay every answer again: then the changelog says so.
    request = fingerprint.request_hash(ONE, MESSAGES)
    assert request == "f437d7ef283ef21658c39261068eeda2"
    assert fingerprint.result_hash(ONE, request, 45.0) == "a36fcdee24c84555b8e08f967b794c68"


@pytest.mark.parametrize(
    "other",
    [
        target(provider="ollama"),
        target(model="n"),
        target(base_url="http://localhost:1/v1"),
        target(sampling=Sampling(4097, 0.2, 7)),
        target(sampling=Sampling(4096, None, 7)),
        target(sampling=Sampling(4096, 0.2, 8)),
        target(sampling=Sampling(4096, 0.2, 7, top_p=0.9)),
        target(sampling=Sampling(4096, 0.2, 7, top_k=40)),
        target(sampling=Sampling(4096, 0.2, 7, min_p=0.1)),
        target(sampling=Sampling(4096, 0.2, 7, reasoning_effort="low")),
        target(sampling=Sampling(4096, 0.2, 7, params='{"a": 1}')),
        target(variant="low"),
        target(extra='{"reasoning_effort": "high"}'),
        attempt(run=2),
        attempt(problem_id="sub"),
    ],
)
def test_another_target_parameter_run_or_problem_has_another_request_hash(other: Attempt) -> None:
    assert fingerprint.request_hash(other, MESSAGES) != fingerprint.request_hash(ONE, MESSAGES)


@pytest.mark.parametrize("place", [0, 1])
def test_another_prompt_has_another_request_hash(place: int) -> None:
    messages = list(MESSAGES)
    messages[place] = messages[place]._replace(content="Write it.")
    assert fingerprint.request_hash(ONE, messages) != fingerprint.request_hash(ONE, MESSAGES)


def test_other_tests_or_another_timeout_change_the_result_hash_only() -> None:
    changed = replace(ONE, problem=replace(ONE.problem, tests={"test_add.py": "assert 1"}))
    request = fingerprint.request_hash(ONE, MESSAGES)
    assert fingerprint.request_hash(changed, MESSAGES) == request
    assert fingerprint.result_hash(changed, request, 45.0) != fingerprint.result_hash(
        ONE, request, 45.0
    )
    assert fingerprint.result_hash(ONE, request, 30.0) != fingerprint.result_hash(
        ONE, request, 45.0
    )
