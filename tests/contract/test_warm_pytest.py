"""pytest behaves in each sandbox as if it had been started for each submission."""

import pytest
from helpers.sandboxes import CONFINED, opened

from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Problem, Submission
from llmbench.runners import load_runners

pytestmark = [pytest.mark.anyio, pytest.mark.fixed_verdict]

RUNNERS = {"python": load_runners(bundled_dir("runners"))["python"]}
CONFTEST = """
import pytest

def pytest_addoption(parser):
    parser.addini("gift", "what the fixture gives")

def pytest_sessionstart(session):
    session.config.gift = "a gift"

@pytest.fixture
def gift(pytestconfig):
    return pytestconfig.gift + pytestconfig.getini("gift")
"""
USES_A_GIFT = """
from solution import same

def test_gift(gift):
    assert same(gift) == "a gift"
"""
PRINTS = """
import sys

from solution import same

def test_prints():
    assert sys.stdin.isatty() is False
    print(same("it was here"))
    assert False
"""


def submission(**tests: str) -> Submission:
    files = {f"{name}.py": text for name, text in tests.items()}
    problem = Problem("jobs", "python", "-", files)
    code = "def same(it):\n    return it\n"
    return RUNNERS["python"].submission(AttemptKey("t", "jobs", 1), problem, code, 40.0)


@pytest.mark.parametrize("kind", CONFINED)
async def test_the_conftest_of_a_problem_is_loaded(kind: str) -> None:
    with_conftest = submission(conftest=CONFTEST, test_solution=USES_A_GIFT)
    async with opened(kind, RUNNERS) as sandbox:
        assert (await sandbox.run(with_conftest)).outcome == "passed"
        assert (await sandbox.run(submission(test_solution=USES_A_GIFT))).outcome == "failed"
        assert (await sandbox.run(with_conftest)).outcome == "passed"


@pytest.mark.parametrize("kind", CONFINED)
async def test_output_of_tests_is_in_their_own_log_only(kind: str) -> None:
    silent = PRINTS.replace('same("it was here")', "")
    async with opened(kind, RUNNERS) as sandbox:
        logs = [
            (await sandbox.run(submission(test_solution=text))).log for text in (PRINTS, silent)
        ]
    assert ["it was here" in log for log in logs] == [True, False]
    assert all("1 failed in " in log for log in logs)
