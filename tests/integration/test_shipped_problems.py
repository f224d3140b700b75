"""The bundled problems in real sandboxes: references pass, everything else fails."""

from collections.abc import Callable, Iterable

import anyio
import pytest
from helpers.proofs import Proofs
from helpers.sandboxes import CONFINED, opened

from llmbench import problems
from llmbench.plan import TEST_TIMEOUT_SECONDS, bundled_dir
from llmbench.records import AttemptKey, Outcome, Problem
from llmbench.runners import load_runners
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.time_limits import TimeLimits

pytestmark = [pytest.mark.anyio, pytest.mark.fixed_verdict]

RUNNERS = load_runners(bundled_dir("runners"))
PROBLEMS = problems.load(
    [bundled_dir("problems")], {lang: runner.option_values for lang, runner in RUNNERS.items()}
)
CONCURRENCY = 2

Answer = tuple[Problem, str, str]
"""A problem, the name of an answer to it, and its code."""


def passes(outcome: Outcome) -> bool:
    return outcome is Outcome.PASSED


def fails(outcome: Outcome) -> bool:
    return outcome.score == 0


async def surprises(
    sandbox: Sandbox, answers: Iterable[Answer], is_expected: Callable[[Outcome], bool]
) -> dict[str, Outcome]:
    """Grade each answer; return the unexpected outcomes by problem id and name of the answer."""
    unexpected: dict[str, Outcome] = {}
    time_limits = TimeLimits(sandbox, RUNNERS, TEST_TIMEOUT_SECONDS)
    proofs = Proofs(is_expected.__name__, sandbox.name, await sandbox.versions())
    limiter = anyio.CapacityLimiter(CONCURRENCY)

    async def grade(problem: Problem, name: str, code: str) -> None:
        runner = RUNNERS[problem.lang]
        async with limiter:
            limit = await time_limits.of(problem)
            submission = runner.submission(
                AttemptKey("test", problem.id, 1), problem, code, limit.timeout, limit.cpu_seconds
            )
            verdict = await sandbox.run(submission)
        if is_expected(verdict.outcome):
            proofs.add(problem, code, runner)
        else:
            unexpected[f"{problem.id} {name}"] = verdict.outcome

    async with anyio.create_task_group() as tasks:
        for problem, name, code in answers:
            if not proofs.is_known(problem, code, RUNNERS[problem.lang]):
                tasks.start_soon(grade, problem, name, code)
    return unexpected


@pytest.mark.parametrize("kind", CONFINED)
async def test_every_reference_passes(kind: str) -> None:
    references = [(problem, "reference", problem.reference or "") for problem in PROBLEMS]
    async with opened(kind, RUNNERS) as sandbox:
        assert await surprises(sandbox, references, passes) == {}


@pytest.mark.bubblewrap
@pytest.mark.parametrize("lang", RUNNERS)
async def test_every_wrong_answer_and_an_empty_one_fails(lang: str) -> None:
    own = [problem for problem in PROBLEMS if problem.lang == lang]
    wrong = [(p, name, code) for p in own for name, code in p.wrong_answers.items()]
    wrong += [(problem, "empty", "") for problem in own]
    async with opened("bubblewrap", RUNNERS) as sandbox:
        assert await surprises(sandbox, wrong, fails) == {}


def test_each_language_has_twenty_problems_each_with_a_reference_and_wrong_answers() -> None:
    for lang in RUNNERS:
        own = [problem for problem in PROBLEMS if problem.lang == lang]
        assert len(own) >= 20
        assert all(problem.reference and len(problem.wrong_answers) >= 3 for problem in own)
