"""Each attempt under bubblewrap has a user of its own, where ids can be given to it."""

import re
from pathlib import Path

import anyio
import pytest
from helpers.sandboxes import RUNNERS, opened

from llmbench.records import AttemptKey, Outcome, Problem, Submission, Verdict
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
from llmbench.sandboxes.local.users import INSIDE, Users

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap]

PIPES = """
import os, time

def hold():
    for _ in range(4):
        if os.fork() == 0:
            pipes = [os.pipe() for _ in range(400)]
            time.sleep(60)
    time.sleep(6)
"""
NEIGHBOUR = """
import fcntl, os, time

def size():
    time.sleep(3)
    return min(fcntl.fcntl(os.pipe()[1], fcntl.F_GETPIPE_SZ) for _ in range(3))
"""
WHO = """
import os

def who():
    outside = {line.split()[0]: line.split()[1] for line in open("/proc/self/uid_map")}
    print("users:", os.getuid(), "of", outside[str(os.getuid())])
    return os.getuid()
"""


async def run(sandbox: Sandbox, name: str, code: str, check: str) -> Verdict:
    tests = f"import solution\n\n\ndef test_it():\n    assert {check}\n"
    problem = Problem(name, "python", "-", {"test_solution.py": tests})
    submission: Submission = RUNNERS["python"].submission(
        AttemptKey(name, name, 1), problem, code, 60.0, 20.0
    )
    return await sandbox.run(submission)


@pytest.fixture
def own_users() -> Users:
    users = Users.find()
    if users is None:
        pytest.skip("this user has no ids to give: install uidmap, and add some to /etc/subuid")
    return users


async def test_the_tests_are_not_the_user_of_process_1_or_of_another_attempt(
    own_users: Users,
) -> None:
    async with opened("bubblewrap", {"python": RUNNERS["python"]}) as sandbox:
        verdicts = [
            # The log has what a test printed only if it failed.
            await run(sandbox, f"who-{number}", WHO, "solution.who() is None")
            for number in range(2)
        ]
    mapped = [re.search(rf"users: {INSIDE} of (\d+)", verdict.log) for verdict in verdicts]
    first, second = (int(each[1]) for each in mapped if each)
    assert first != second
    assert {first, second} <= set(own_users.uids)


async def test_ids_that_the_kernel_refuses_are_not_used_and_that_is_said(
    own_users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = range(2**32 - 1, 2**32)  # the kernel has no such user
    monkeypatch.setattr(Users, "find", lambda: Users(ends, ends))
    notes: list[str] = []
    with anyio.fail_after(60):
        sandbox = await BubblewrapSandbox.open({"python": RUNNERS["python"]}, notes.append)
    assert not sandbox.separates_users
    await sandbox.aclose()
    assert any("attempts share one user under bubblewrap" in note for note in notes)


async def test_an_attempt_that_holds_many_pipes_takes_none_from_its_neighbour(
    own_users: Users,
) -> None:
    verdicts: list[Verdict] = []

    async def note(name: str, code: str, check: str) -> None:
        verdicts.append(await run(sandbox, name, code, check))

    async with (
        opened("bubblewrap", {"python": RUNNERS["python"]}) as sandbox,
        anyio.create_task_group() as group,
    ):
        group.start_soon(note, "holds", PIPES, "solution.hold() is None")
        group.start_soon(note, "neighbour", NEIGHBOUR, "solution.size() == 65536")
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 2
    assert Path("/proc/sys/fs/pipe-user-pages-soft").read_text().strip() == "16384"
