"""The shipped problems in real sandboxes: references pass, everything else does not."""

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
AT_ONCE = 2


async def outcomes(
    sandbox: Sandbox, codes: Iterable[tuple[Problem, str, str]]
) -> dict[str, Outcome]:
    """The outcome of each code, under the problem's id and the code's name."""
    found: dict[str, Outcome] = {}
    allowances = TimeLimits(sandbox, RUNNERS, TEST_TIMEOUT_SECONDS)
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def one(problem: Problem, name: str, code: str) -> None:
        key = AttemptKey("test", problem.id, 1)
        async with limiter:
            allowed = await allowances.of(problem)
            submission = RUNNERS[problem.lang].submission(
                key, problem, code, allowed.timeout, allowed.cpu_seconds
            )
            verdict = await sandbox.run(submission)
        found[f"{problem.id} {name}"] = verdict.outcome

    async with anyio.create_task_group() as tasks:
        for problem, name, code in codes:
            tasks.start_soon(one, problem, name, code)
    return found


@pytest.mark.parametrize("kind", CONFINED)
async def test_every_reference_passes(kind: str) -> None:
    async with opened(kind, RUNNERS) as sandbox:
        found = await outcomes(sandbox, [(p, "reference", p.reference or "") for p in PROBLEMS])
    assert {name: o for name, o in found.items() if o is not Outcome.PASSED} == {}
    assert len(found) == len(PROBLEMS)


@pytest.mark.bubblewrap
async def test_every_wrong_answer_and_an_empty_one_fails() -> None:
    wrong = [(p, name, code) for p in PROBLEMS for name, code in p.wrong_answers.items()]
    wrong += [(p, "empty", "") for p in PROBLEMS]
    async with opened("bubblewrap", RUNNERS) as sandbox:
        found = await outcomes(sandbox, wrong)
    right = {name for name, o in found.items() if o is Outcome.PASSED or o.is_infrastructure}
    assert right == set()
    assert len(found) == len(wrong)


def test_each_language_has_twenty_problems_each_with_a_reference_and_wrong_answers() -> None:
    for lang in RUNNERS:
        own = [problem for problem in PROBLEMS if problem.lang == lang]
        assert len(own) >= 20
        assert all(problem.reference and len(problem.wrong_answers) >= 3 for problem in own)
