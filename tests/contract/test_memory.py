"""Memory is counted rightly where the kernel does not count it."""

import pytest
from helpers.sandboxes import RUNNERS, opened

from llmbench.records import AttemptKey, Outcome, Problem
from llmbench.sandboxes.local import bubblewrap

pytestmark = [pytest.mark.anyio, pytest.mark.fixed_verdict]


SHARED = """
import mmap, time
def double(x):
    memory = mmap.mmap(-1, 900 << 20)
    for page in range(0, 900 << 20, 4096): memory[page] = 1
    time.sleep(2)
    return 2 * x
"""
FILES = """
import os, time
def double(x):
    for number in range(9):
        for folder in ("/tmp", os.getcwd(), "/dev/shm"):
            try: open(f"{folder}/{number}", "wb").write(bytes(60 << 20))
            except OSError: pass
    time.sleep(2)
    return 2 * x
"""
POOL = """
import os, time
data = bytearray(100 << 20)
def double(x):
    for page in range(0, 100 << 20, 4096): data[page] = 1
    for _ in range(8):
        if os.fork() == 0:
            time.sleep(0.3)
            os._exit(0)
    time.sleep(0.5)
    return 2 * x
"""


@pytest.mark.bubblewrap
@pytest.mark.parametrize(
    ("code", "outcome"),
    [(SHARED, Outcome.OUT_OF_MEMORY), (FILES, Outcome.OUT_OF_MEMORY), (POOL, Outcome.PASSED)],
    ids=["shared", "files", "pool"],
)
async def test_memory_without_a_cgroup_counts_what_processes_share_once(
    code: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bubblewrap, "Groups", refuse)
    async with opened("bubblewrap", {"python": RUNNERS["python"]}) as sandbox:
        tests = {
            "test_it.py": "from solution import double\ndef test_it(): assert double(2) == 4\n"
        }
        problem = Problem("memory", "python", "-", tests)
        key = AttemptKey("t", "memory", 1)
        verdict = await sandbox.run(RUNNERS["python"].submission(key, problem, code, 40.0))
    assert verdict.outcome is outcome, verdict.log


def refuse() -> None:
    """Stand for a user who may not make cgroups.

    Raises:
        OSError: always.
    """
    raise OSError("no cgroups here")
