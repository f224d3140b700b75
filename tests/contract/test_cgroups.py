"""Limits of the kernel's own under bubblewrap, and how they are kept where there are none."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from helpers.sandboxes import REQUIRED
from test_sandboxes import RUNNERS, submission

from llmbench.errors import SandboxError
from llmbench.records import Outcome
from llmbench.runners import ResourceLimits
from llmbench.sandboxes.local import bubblewrap
from llmbench.sandboxes.local.bubblewrap import COUNTED, BubblewrapSandbox
from llmbench.sandboxes.local.cgroups import PREFIX, Group, Groups

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap]

SMALL = ResourceLimits(memory_mb=64, pids=8, cpus=0.5)


@pytest.fixture
def groups() -> Groups:
    try:
        return Groups()
    except OSError as error:
        if "bubblewrap" in REQUIRED:
            pytest.fail(f"groups are required here: {error}")
        pytest.skip(str(error))


@pytest.fixture
def nowhere() -> Iterator[None]:
    """A user who may not make groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "Groups", _refused)
        yield


async def removed(groups: Groups, group: Group) -> bool:
    """Remove it as a run does: who closed its output may be a moment from being gone."""
    groups.leave(group)
    await groups.aclose()
    return not any(folder.exists() for folder in group.folders)


def _refused() -> Groups:
    raise PermissionError("not yours")


def inside(folders: tuple[Path, ...], code: str) -> subprocess.CompletedProcess[str]:
    joined = 'for folder; do echo 0 >"$folder/cgroup.procs" || exit 9; done; exec "$0" -c "$CODE"'
    return subprocess.run(
        ["sh", "-c", joined, sys.executable, *map(str, folders)],
        env={"CODE": code},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_process_that_takes_more_memory_is_killed_and_the_group_tells(
    groups: Groups,
) -> None:
    group = groups.make(SMALL)
    assert not group.out_of_memory
    inside(group.folders, "bytearray(200_000_000)")
    assert group.out_of_memory
    assert await removed(groups, group)


async def test_memory_is_limited_without_swap(groups: Groups) -> None:
    group = groups.make(SMALL)
    told = {
        file: (folder / file).read_text().strip()
        for folder in group.folders
        for file in ("memory.swap.max", "memory.memsw.limit_in_bytes", "memory.limit_in_bytes")
        if (folder / file).exists()
    }
    assert told.get("memory.swap.max", "0") == "0"
    limit = told.get("memory.limit_in_bytes")
    assert told.get("memory.memsw.limit_in_bytes", limit) == limit
    assert await removed(groups, group)


async def test_no_more_processes_can_be_started_than_the_limit(groups: Groups) -> None:
    group = groups.make(SMALL)
    ran = inside(group.folders, "import os\nfor _ in range(20): os.fork() or os._exit(0)")
    assert "BlockingIOError" in ran.stderr
    assert not group.out_of_memory
    assert await removed(groups, group)


async def test_processor_time_is_counted_also_of_what_nobody_waited_for(groups: Groups) -> None:
    group = groups.make(SMALL)
    burns = "import os, time\nif not os.fork():\n  while time.process_time() < 0.3: pass"
    inside(group.folders, burns)
    assert group.cpu_seconds >= 0.3
    assert await removed(groups, group)


@pytest.mark.alone  # whoever starts beside it removes what it leaves
async def test_groups_of_a_killed_run_are_removed_at_the_next_start(groups: Groups) -> None:
    group = groups.make(SMALL)
    dead = [folder.with_name(f"{PREFIX}4194305-0") for folder in group.folders]
    for folder in dead:
        folder.mkdir()
    groups.leave(group)
    await Groups().aclose()
    assert not any(folder.exists() for folder in (*dead, *group.folders))


@pytest.mark.alone  # whoever starts beside it removes what it leaves
async def test_what_runs_in_the_group_of_a_killed_run_is_killed_at_the_next_start(
    groups: Groups,
) -> None:
    group = groups.make(SMALL)
    dead = [folder.with_name(f"{PREFIX}4194305-1") for folder in group.folders]
    for folder in dead:
        folder.mkdir()
    groups.leave(group)
    async with await anyio.open_process(["sleep", "600"]) as left:
        for folder in dead:
            (folder / "cgroup.procs").write_text(str(left.pid))
        await Groups().aclose()
        with anyio.fail_after(5):
            assert await left.wait() == -signal.SIGKILL
    await Groups().aclose()
    assert not any(folder.exists() for folder in dead)


async def test_a_run_leaves_no_group(groups: Groups) -> None:
    sandbox = await BubblewrapSandbox.open(RUNNERS, print)
    await sandbox.run(submission("python", "leaves_a_process"))
    await sandbox.aclose()
    group = groups.make(SMALL)
    parents = {folder.parent for folder in group.folders}
    groups.leave(group)
    ours = f"{PREFIX}{os.getpid()}-*"
    assert [folder for parent in parents for folder in parent.glob(ours)] == []


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("name", ["passes", "eats_memory", "uses_cpu_time_in_children"])
async def test_where_no_group_can_be_made_use_is_counted_and_that_is_said(name: str) -> None:
    said: list[str] = []
    try:
        sandbox = await BubblewrapSandbox.open(RUNNERS, said.append)
    except SandboxError as error:
        if "bubblewrap" in REQUIRED:
            pytest.fail(str(error))
        pytest.skip(str(error))
    assert said.count(COUNTED) == 1
    wanted = {
        "passes": Outcome.PASSED,
        "eats_memory": Outcome.OUT_OF_MEMORY,
        "uses_cpu_time_in_children": Outcome.TIMEOUT,
    }
    for lang in RUNNERS:
        verdict = await sandbox.run(submission(lang, name))
        assert verdict.outcome is wanted[name], verdict.log
        assert verdict.cpu_seconds is not None or name != "passes"
    await sandbox.aclose()
