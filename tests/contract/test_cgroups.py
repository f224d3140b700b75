"""cgroups under bubblewrap, and the limits of bubblewrap without them."""

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
from llmbench.sandboxes.local.bubblewrap import NO_CGROUPS, BubblewrapSandbox
from llmbench.sandboxes.local.cgroups import PREFIX, Group, Groups

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap, pytest.mark.fixed_verdict]

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
def no_groups() -> Iterator[None]:
    """A user who may not make groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "Groups", _refuse)
        yield


async def removed(groups: Groups, group: Group) -> bool:
    """Remove it as a run does: a process that closed its output may need a moment to end."""
    groups.remove(group)
    await groups.aclose()
    return not any(folder.exists() for folder in group.folders)


def _refuse() -> Groups:
    raise PermissionError("refused")


def inside(folders: tuple[Path, ...], code: str) -> subprocess.CompletedProcess[str]:
    script = 'for folder; do echo 0 >"$folder/cgroup.procs" || exit 9; done; exec "$0" -c "$CODE"'
    return subprocess.run(
        ["sh", "-c", script, sys.executable, *map(str, folders)],
        env={"CODE": code},
        capture_output=True,
        text=True,
        check=False,
    )


async def test_the_group_reports_a_process_that_was_killed_for_memory(
    groups: Groups,
) -> None:
    group = groups.create(SMALL)
    assert not group.out_of_memory
    inside(group.folders, "bytearray(200_000_000)")
    assert group.out_of_memory
    assert await removed(groups, group)


async def test_memory_is_limited_without_swap(groups: Groups) -> None:
    group = groups.create(SMALL)
    limits = {
        file: (folder / file).read_text().strip()
        for folder in group.folders
        for file in ("memory.swap.max", "memory.memsw.limit_in_bytes", "memory.limit_in_bytes")
        if (folder / file).exists()
    }
    assert limits.get("memory.swap.max", "0") == "0"
    limit = limits.get("memory.limit_in_bytes")
    assert limits.get("memory.memsw.limit_in_bytes", limit) == limit
    assert await removed(groups, group)


async def test_the_number_of_processes_is_limited(groups: Groups) -> None:
    group = groups.create(SMALL)
    result = inside(group.folders, "import os\nfor _ in range(20): os.fork() or os._exit(0)")
    assert "BlockingIOError" in result.stderr
    assert not group.out_of_memory
    assert await removed(groups, group)


async def test_processor_time_includes_processes_that_nobody_waited_for(groups: Groups) -> None:
    group = groups.create(SMALL)
    burns = "import os, time\nif not os.fork():\n  while time.process_time() < 0.3: pass"
    inside(group.folders, burns)
    assert group.cpu_seconds >= 0.3
    assert await removed(groups, group)


@pytest.mark.alone  # a concurrent start would remove the groups of this test
async def test_groups_of_a_killed_run_are_removed_at_the_next_start(groups: Groups) -> None:
    group = groups.create(SMALL)
    dead = [folder.with_name(f"{PREFIX}4194305-0") for folder in group.folders]
    for folder in dead:
        folder.mkdir()
    groups.remove(group)
    await Groups().aclose()
    assert not any(folder.exists() for folder in (*dead, *group.folders))


@pytest.mark.alone  # a concurrent start would remove the groups of this test
async def test_processes_in_the_group_of_a_killed_run_are_killed_at_the_next_start(
    groups: Groups,
) -> None:
    group = groups.create(SMALL)
    dead = [folder.with_name(f"{PREFIX}4194305-1") for folder in group.folders]
    for folder in dead:
        folder.mkdir()
    groups.remove(group)
    async with await anyio.open_process(["sleep", "600"]) as orphan:
        for folder in dead:
            (folder / "cgroup.procs").write_text(str(orphan.pid))
        await Groups().aclose()
        with anyio.fail_after(5):
            assert await orphan.wait() == -signal.SIGKILL
    await Groups().aclose()
    assert not any(folder.exists() for folder in dead)


async def test_a_run_leaves_no_group(groups: Groups) -> None:
    sandbox = await BubblewrapSandbox.open(RUNNERS, print)
    await sandbox.run(submission("python", "leaves_a_process"))
    await sandbox.aclose()
    group = groups.create(SMALL)
    parents = {folder.parent for folder in group.folders}
    groups.remove(group)
    ours = f"{PREFIX}{os.getpid()}-*"
    assert [folder for parent in parents for folder in parent.glob(ours)] == []


@pytest.mark.usefixtures("no_groups")
@pytest.mark.parametrize("name", ["passes", "eats_memory", "uses_cpu_time_in_children"])
async def test_without_groups_limits_hold_by_sampling_and_a_note_is_printed(name: str) -> None:
    notes: list[str] = []
    try:
        sandbox = await BubblewrapSandbox.open(RUNNERS, notes.append)
    except SandboxError as error:
        if "bubblewrap" in REQUIRED:
            pytest.fail(str(error))
        pytest.skip(str(error))
    assert notes.count(NO_CGROUPS) == 1
    outcomes = {
        "passes": Outcome.PASSED,
        "eats_memory": Outcome.OUT_OF_MEMORY,
        "uses_cpu_time_in_children": Outcome.TIMEOUT,
    }
    for lang in RUNNERS:
        verdict = await sandbox.run(submission(lang, name))
        assert verdict.outcome is outcomes[name], verdict.log
        assert verdict.cpu_seconds is not None or name != "passes"
    await sandbox.aclose()
