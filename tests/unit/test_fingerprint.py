"""What is paid for is found again by its hash: as long as it is the same, and no longer."""

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
    # Where they change, all that was bought is asked and paid anew: then say so in the changelog.
    asked = fingerprint.request_hash(ONE, MESSAGES)
    assert asked == "f437d7ef283ef21658c39261068eeda2"
    assert fingerprint.result_hash(ONE, asked, 45.0) == "a36fcdee24c84555b8e08f967b794c68"


@pytest.mark.parametrize(
    "other",
    [
        target(provider="ollama"),
        target(model="n"),
        target(base_url="http://localhost:1/v1"),
        target(sampling=Sampling(4097, 0.2, 7)),
        target(sampling=Sampling(4096, None, 7)),
        target(sampling=Sampling(4096, 0.2, 8)),
        target(extra='{"reasoning_effort": "high"}'),
        attempt(run=2),
        attempt(problem_id="sub"),
    ],
)
def test_another_target_parameter_run_or_problem_is_asked_anew(other: Attempt) -> None:
    assert fingerprint.request_hash(other, MESSAGES) != fingerprint.request_hash(ONE, MESSAGES)


@pytest.mark.parametrize("place", [0, 1])
def test_another_prompt_is_asked_anew(place: int) -> None:
    messages = list(MESSAGES)
    messages[place] = messages[place]._replace(content="Write it.")
    assert fingerprint.request_hash(ONE, messages) != fingerprint.request_hash(ONE, MESSAGES)


def test_other_tests_or_another_limit_are_graded_anew_but_not_asked() -> None:
    changed = replace(ONE, problem=replace(ONE.problem, tests={"test_add.py": "assert 1"}))
    asked = fingerprint.request_hash(ONE, MESSAGES)
    assert fingerprint.request_hash(changed, MESSAGES) == asked
    assert fingerprint.result_hash(changed, asked, 45.0) != fingerprint.result_hash(
        ONE, asked, 45.0
    )
    assert fingerprint.result_hash(ONE, asked, 30.0) != fingerprint.result_hash(ONE, asked, 45.0)
