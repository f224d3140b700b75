"""The shipped problems in real sandboxes: references pass, all other answers fail."""

from collections.abc import Iterable

import anyio
import pytest
from helpers.sandboxes import CONFINED, opened

from llmbench import problems
from llmbench.plan import TEST_TIMEOUT_SECONDS, bundled_dir
from llmbench.records import AttemptKey, Outcome, Problem
from llmbench.runners import load_runners
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.time_limits import TimeLimits

pytestmark = pytest.mark.anyio

RUNNERS = load_runners(bundled_dir("runners"))
PROBLEMS = problems.load(
    [bundled_dir("problems")], {lang: runner.option_values for lang, runner in RUNNERS.items()}
)
MAX_SANDBOXES = 2


async def outcomes(
    sandbox: Sandbox, codes: Iterable[tuple[Problem, str, str]]
) -> dict[str, Outcome]:
    """Return the outcome of each code, by the problem's id and the code's name."""
    results: dict[str, Outcome] = {}
    time_limits = TimeLimits(sandbox, RUNNERS, TEST_TIMEOUT_SECONDS)
    limiter = anyio.CapacityLimiter(MAX_SANDBOXES)

    async def run_one(problem: Problem, name: str, code: str) -> None:
        key = AttemptKey("test", problem.id, 1)
        async with limiter:
            limit = await time_limits.of(problem)
            submission = RUNNERS[problem.lang].submission(
                key, problem, code, limit.timeout, limit.cpu_seconds
            )
            verdict = await sandbox.run(submission)
        results[f"{problem.id} {name}"] = verdict.outcome

    async with anyio.create_task_group() as tasks:
        for problem, name, code in codes:
            tasks.start_soon(run_one, problem, name, code)
    return results


@pytest.mark.parametrize("kind", CONFINED)
async def test_every_reference_passes(kind: str) -> None:
    async with opened(kind, RUNNERS) as sandbox:
        results = await outcomes(sandbox, [(p, "reference", p.reference or "") for p in PROBLEMS])
    assert {name: o for name, o in results.items() if o is not Outcome.PASSED} == {}
    assert len(results) == len(PROBLEMS)


@pytest.mark.bubblewrap
async def test_every_wrong_answer_and_an_empty_one_fails() -> None:
    wrong = [(p, name, code) for p in PROBLEMS for name, code in p.wrong_answers.items()]
    wrong += [(p, "empty", "") for p in PROBLEMS]
    async with opened("bubblewrap", RUNNERS) as sandbox:
        results = await outcomes(sandbox, wrong)
    not_failed = {name for name, o in results.items() if o is Outcome.PASSED or o.is_infrastructure}
    assert not_failed == set()
    assert len(results) == len(wrong)


def test_each_language_has_twenty_problems_each_with_a_reference_and_wrong_answers() -> None:
    for lang in RUNNERS:
        own = [problem for problem in PROBLEMS if problem.lang == lang]
        assert len(own) >= 20
        assert all(problem.reference and len(problem.wrong_answers) >= 3 for problem in own)
