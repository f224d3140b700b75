"""Verdicts while every core has other work."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import anyio
import pytest
from sandboxes_of import CONFINED, opened

from llmbench.config import shipped
from llmbench.records import AttemptKey, Problem
from llmbench.sandboxes.runners import load_runners

pytestmark = pytest.mark.anyio

RUNNERS = load_runners(shipped("runners"))
TIMES = 100
AT_ONCE = 4
CPU_SECONDS, WALL_SECONDS = 3.0, 9.0
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
VERDICTS = {0.3: "passed", 20.0: "timeout"}
"""Processor time that an answer takes, and what it must get."""
SHARE = {0.3: TIMES, 20.0: 10}
"""How often each is graded: one that must time out takes its whole limit."""


@pytest.fixture
def every_core_busy() -> Iterator[None]:
    """As many processes as there are cores, each with work for ever."""
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
@pytest.mark.parametrize("seconds", VERDICTS)
async def test_the_same_answer_gets_one_verdict_while_every_core_is_busy(
    kind: str, seconds: float
) -> None:
    lang = "python"
    problem = Problem("same", lang, "-", {"test_solution.py": TESTS})
    code = ANSWER.format(seconds=seconds)
    verdicts: Counter[str] = Counter()
    numbers = iter(range(SHARE[seconds]))

    async with opened(kind, RUNNERS) as sandbox:

        async def one_after_another() -> None:
            for number in numbers:
                key = AttemptKey("same", "same", number)
                submission = RUNNERS[lang].submission(key, problem, code, WALL_SECONDS, CPU_SECONDS)
                verdicts[(await sandbox.run(submission)).outcome] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(one_after_another)
    assert verdicts == {VERDICTS[seconds]: SHARE[seconds]}
