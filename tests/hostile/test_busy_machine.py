"""Verdicts while every core is busy."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import anyio
import pytest
from helpers.sandboxes import CONFINED, opened

from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Problem
from llmbench.runners import load_runners
from llmbench.sandboxes.time_limits import WALL_PER_CPU

pytestmark = [pytest.mark.anyio, pytest.mark.alone, pytest.mark.fixed_verdict]

RUNNERS = load_runners(bundled_dir("runners"))
AT_ONCE = 8
TESTS = """
from solution import double

def test_of_two():
    assert double(2) == 4
"""
ANSWER = """
import time

end = time.process_time() + {seconds}
while time.process_time() < end:
    pass

def double(x):
    return 2 * x
"""


class Case(NamedTuple):
    """The processor time of an answer, its limit, its expected outcome, and a number of runs."""

    seconds: float
    limit: float
    outcome: str
    times: int


CASES = [
    Case(0.1, 10.0, "passed", 100),
    Case(20.0, 1.5, "timeout", 10),  # each uses its whole limit
]


@pytest.fixture
def every_core_busy() -> Iterator[None]:
    """One process per core that never ends."""
    burn = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burn) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@pytest.mark.usefixtures("every_core_busy")
@pytest.mark.parametrize("kind", CONFINED)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.outcome)
async def test_the_same_answer_gets_one_verdict_while_every_core_is_busy(
    kind: str, case: Case
) -> None:
    lang = "python"
    problem = Problem("same", lang, "-", {"test_solution.py": TESTS})
    code = ANSWER.format(seconds=case.seconds)
    limits = (case.limit * WALL_PER_CPU, case.limit)
    verdicts: Counter[str] = Counter()
    numbers = iter(range(case.times))

    async with opened(kind, RUNNERS) as sandbox:

        async def one_after_another() -> None:
            for number in numbers:
                key = AttemptKey("same", "same", number)
                submission = RUNNERS[lang].submission(key, problem, code, *limits)
                verdicts[(await sandbox.run(submission)).outcome] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(one_after_another)
    assert verdicts == {case.outcome: case.times}
