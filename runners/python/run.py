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

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from canary import FAILED, Canary  # python -P leaves this folder out

MOST = 16 << 20
POLL_SECONDS = 0.005
MANY_SECONDS = 3600.0
INI = Path(__file__).resolve().with_name("pytest.ini")


def run_tests(canary: str, report: int) -> int:
    """Run the tests of the current folder here, with a canary of this name; the exit code.

    The report goes to the descriptor `report` as JUnit XML.
    """
    folder = Path.cwd()
    Path(".run/tmp").mkdir(parents=True, exist_ok=True)
    flags = ["-c", str(INI), "--rootdir", str(folder), "-o", f"pythonpath={folder}"]
    plugin = Canary(canary)
    pytest.main([*flags, f"--junitxml=/proc/self/fd/{report}"], plugins=[plugin])
    return plugin.exit_code()


def in_child(work: Callable[[int], int], seconds: float | None = None) -> tuple[int, bytes]:
    """Fork, do `work(descriptor)` in the child; its exit code and what it wrote there.

    A child that was killed has the code 128 + signal; after `seconds` it is.
    """
    reading, writing = os.pipe()
    # The child opens it by name, and may be another user by then. gVisor refuses the change; it
    # also needs none.
    with suppress(PermissionError):
        os.fchmod(writing, 0o622)
    pid = os.fork()
    if pid == 0:
        # Never back into the parent's code, and past what the tests registered for the exit.
        code = FAILED
        try:
            os.close(reading)
            code = work(writing)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    said = _listen(reading, pid, seconds)
    if said is None:
        os.kill(pid, signal.SIGKILL)
    os.close(reading)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
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

    def work(report: int) -> int:
        os.close(stdout)
        return run_tests(canary, report)

    code, report = in_child(work)
    with os.fdopen(stdout, "wb") as out:
        out.write(report)
    sys.exit(code)


if __name__ == "__main__":
    main()
