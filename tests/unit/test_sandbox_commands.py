"""Commands that take a while report their progress, and end in one line."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from llmbench.sandboxes import commands
from llmbench.sandboxes.commands import exclusive, run_visibly

pytestmark = pytest.mark.anyio


async def test_the_result_has_the_last_lines_of_both_streams() -> None:
    script = "seq 1 100; echo 'bad \033[31m\tthing' >&2; exit 3"
    result = await run_visibly(["sh", "-c", script], "t", print)
    assert result.code == 3
    assert result.lines[-2:] == ("100", "bad [31m thing")
    assert len(result.lines) == commands.LINES
    assert result.reason.endswith("bad [31m thing")


async def test_a_failure_without_output_is_its_exit_code() -> None:
    assert (await run_visibly(["sh", "-c", "exit 3"], "t", print)).reason == "exit code 3"


@pytest.mark.parametrize("size", [1, 2**20])
async def test_output_without_line_ends_is_cut(size: int) -> None:
    result = await run_visibly(["sh", "-c", f"head -c {size} /dev/zero | tr '\\0' x"], "t", print)
    assert result.lines == ("x" * min(size, commands.LINE_CHARACTERS),)


async def test_a_command_that_takes_a_while_is_reported_with_its_latest_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "NOTE_SECONDS", 0.2)
    notes: list[str] = []
    await run_visibly(["sh", "-c", "echo fetching x; sleep 0.7"], "setting up", notes.append)
    assert notes[0].startswith("setting up: ")
    assert notes[0].endswith("s so far, now: fetching x")


async def test_cancelling_kills_everything_that_the_command_started(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! >{tmp_path}/pid; wait"
    with anyio.move_on_after(1):
        await run_visibly(["sh", "-c", script], "t", print)
    pid = int((tmp_path / "pid").read_text())
    with anyio.fail_after(5):
        while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
            await anyio.sleep(0.02)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


async def test_another_process_with_the_lock_is_waited_for_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "NOTE_SECONDS", 0.1)
    code = (
        "import anyio, sys\nfrom pathlib import Path\n"
        "from llmbench.sandboxes.commands import exclusive\n"
        "async def hold():\n"
        "    async with exclusive(Path(sys.argv[1]), 'it', print):\n"
        "        print('held', flush=True)\n"
        "        sys.stdin.read()\n"
        "anyio.run(hold)\n"
    )
    lock, notes = tmp_path / "sub" / "lock", list[str]()
    with subprocess.Popen(  # noqa: ASYNC220 - it only waits for us
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        async with anyio.create_task_group() as tasks:

            async def release() -> None:
                await anyio.sleep(0.5)
                assert other.stdin
                other.stdin.close()

            tasks.start_soon(release)
            async with exclusive(lock, "making it", notes.append):
                assert int(lock.read_text()) == os.getpid()
    assert notes[0] == f"making it: waiting for process {other.pid}, which is at it"
    assert "s so far" in notes[1]
    assert not lock.exists()


async def test_only_one_of_many_holds_the_lock(tmp_path: Path) -> None:
    inside = 0

    async def enter() -> None:
        nonlocal inside
        async with exclusive(tmp_path / "lock", "it", lambda line: None):
            inside += 1
            assert inside == 1
            await anyio.sleep(0.01)
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(enter)
