"""Runs the pytest tests of the current folder in a child, and passes on what they reported.

The child's report comes through a pipe, so what it has once said stays said. The contract is in
../README.md; `warm.py` uses the same functions.
"""

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
    # The child opens it by name, and may be another user by then.
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
    end = os.pidfd_open(pid)
    said = _listen(reading, end, seconds)
    if said is None:
        os.kill(pid, signal.SIGKILL)
    os.close(reading)
    os.close(end)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return (code if code >= 0 else 128 - code), said or b""


def _listen(pipe: int, end: int, seconds: float | None) -> bytes | None:
    """What comes through the pipe until the process ends; None if it does not end in time.

    Others may hold the pipe longer: when the process has ended, all it wrote is in there. What is
    longer than any report is none, and is not kept.
    """
    os.set_blocking(pipe, False)
    deadline = None if seconds is None else time.monotonic() + seconds
    said, waiting = bytearray(), [pipe, end]
    while end in waiting:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = select.select(waiting, [], [], left)[0]
        if not ready:
            return None
        if end in ready:
            waiting.remove(end)
        with suppress(BlockingIOError):
            while data := os.read(pipe, 1 << 16):
                if len(said) <= MOST:
                    said += data
            if pipe in waiting:
                waiting.remove(pipe)
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
