"""Runs the pytest tests of the current folder in a child, and passes on what they reported.

The child's report comes through a pipe, so what it has once said stays said. The contract is in
../README.md; `warm.py` uses the same functions.
"""

import math
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from canary import FAILED, Canary  # python -P leaves this folder out

MOST = 16 << 20
POLL_SECONDS = 0.005
MANY_SECONDS = 3600.0
INI = Path(__file__).resolve().with_name("pytest.ini")


def flags(report: str) -> list[str]:
    """What pytest is told: the report goes to the file `report` as JUnit XML."""
    return ["-c", str(INI), "--rootdir", str(Path.cwd()), f"--junitxml={report}"]


def run_tests(canary: str, report: int) -> int:
    """Run the tests of the current folder here, with a canary of this name; the exit code.

    The report goes to the descriptor `report`.
    """
    enter_folder()
    plugin = Canary(canary)
    pytest.main(flags(f"/proc/self/fd/{report}"), plugins=[plugin])
    return plugin.exit_code()


def enter_folder() -> None:
    """Make a place for temporary files in the current folder; what stands there can be imported."""
    Path(".run/tmp").mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(Path.cwd()))


class Child(NamedTuple):
    """A process that was forked, and the end of the pipe that is this one's.

    In the child itself `pid` is 0 and it writes; its parent reads.
    """

    pid: int
    pipe: int


def fork() -> Child:
    """Fork, with a pipe for the child's report."""
    reading, writing = os.pipe()
    # The child opens it by name, and may be another user by then. gVisor refuses the change; it
    # also needs none.
    with suppress(PermissionError):
        os.fchmod(writing, 0o622)
    pid = os.fork()
    os.close(writing if pid else reading)
    return Child(pid, reading if pid else writing)


def end_with(work: Callable[[], int]) -> NoReturn:
    """Do the work of a child and end the process with the exit code that it returns.

    Never back into the parent's code, and past what the tests registered for the exit.
    """
    code = FAILED
    try:
        code = work()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def outcome(child: Child, seconds: float | None = None) -> tuple[int, bytes]:
    """The exit code of a child, and its report.

    A child that was killed has the code 128 + signal; after `seconds` it is.
    """
    said = _listen(child.pipe, child.pid, seconds)
    if said is None:
        os.kill(child.pid, signal.SIGKILL)
    os.close(child.pipe)
    code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    return (code if code >= 0 else 128 - code), said or b""


def _listen(pipe: int, pid: int, seconds: float | None) -> bytes | None:
    """What comes through the pipe until the process ends; None if it does not end in time.

    Others may hold the pipe longer: when the process has ended, all it wrote is in there. What is
    longer than any report is none, and is not kept.
    """
    os.set_blocking(pipe, False)
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    said, ended, waiting = bytearray(), False, {pipe}
    end, longest = None, POLL_SECONDS
    with suppress(OSError):  # gVisor has no such descriptors
        end, longest = os.pidfd_open(pid), math.inf
        waiting.add(end)
    while not ended and (left := deadline - time.monotonic()) > 0:
        select.select(waiting, [], [], min(left, longest, MANY_SECONDS))
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        with suppress(BlockingIOError):
            while data := os.read(pipe, 1 << 16):
                if len(said) <= MOST:
                    said += data
            waiting.discard(pipe)
    if end is not None:
        os.close(end)
    if not ended:
        return None
    return b"" if len(said) > MOST else bytes(said)


def main() -> None:
    """Serve run.sh: the canary's name comes on stdin, the report goes to stdout."""
    canary = sys.stdin.readline().strip()
    stdout = os.dup(1)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    child = fork()
    if child.pid == 0:
        os.close(stdout)
        end_with(lambda: run_tests(canary, child.pipe))
    code, report = outcome(child)
    with os.fdopen(stdout, "wb") as out:
        out.write(report)
    sys.exit(code)


if __name__ == "__main__":
    main()
