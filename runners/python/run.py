"""Runs the pytest tests of the current folder in a child process and forwards its report.

The child's report comes through a pipe, so that a solution cannot take back a line of it. The
contract is in ../README.md. `warm.py` uses the same functions.
"""

import gc
import math
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves this folder out

from canary import FAILED, Canary
from expected import expected_line, read_python_files

MAX_REPORT_BYTES = 16 << 20
REPORT_FD = 4
"""The descriptor of the report in the process of the tests."""
POLL_SECONDS = 0.005
MAX_SELECT_SECONDS = 3600.0
INI = Path(__file__).resolve().with_name("pytest.ini")


def pytest_args(report: str) -> list[str]:
    """Return the arguments of pytest; it writes its JUnit XML to the file `report`."""
    return ["-c", str(INI), "--rootdir", str(Path.cwd()), f"--junitxml={report}"]


def run_tests(canary: str, files: Mapping[Path, bytes], report: int) -> int:
    """Run the tests of the current folder in this process.

    Args:
        canary: the name of the canary.
        files: the Python files of the folder, before the solution is loaded.
        report: the descriptor that the report goes to.

    Returns:
        The exit code.
    """
    enter_folder()
    plugin = Canary()
    plugin.begin(canary, files)
    pytest.main(pytest_args(f"/proc/self/fd/{report}"), plugins=[plugin])
    return plugin.exit_code()


def enter_folder() -> None:
    """Make the modules of the current folder importable, and its folder for temporary files."""
    Path(".run/tmp").mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(Path.cwd()))


class Child(NamedTuple):
    """A forked process and this side's end of the pipe between the two.

    In the child itself `pid` is 0 and `pipe` is the end to write to; the parent reads.
    """

    pid: int
    pipe: int


def fork() -> Child:
    """Fork this process, with a pipe for the child's report."""
    read_end, write_end = os.pipe()
    # The child opens the pipe by its name, by then perhaps as another user. gVisor refuses this
    # change and works without it.
    with suppress(PermissionError):
        os.fchmod(write_end, 0o622)
    pid = os.fork()
    os.close(write_end if pid else read_end)
    return Child(pid, read_end if pid else write_end)


def exit_with(work: Callable[[], int]) -> NoReturn:
    """Do the work of a child and end the process with the exit code that `work` returns.

    The child never returns to the parent's code and runs no exit handler of the tests.
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


def wait_for(child: Child, seconds: float | None = None) -> tuple[int, bytes]:
    """Wait for a child and return its exit code and its report.

    A child that runs longer than `seconds` is killed. The code of a killed child is
    128 + the signal.
    """
    report = _read_report(child, seconds)
    if report is None:
        os.kill(child.pid, signal.SIGKILL)
    os.close(child.pipe)
    code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    return (code if code >= 0 else 128 - code), report or b""


def _read_report(child: Child, seconds: float | None) -> bytes | None:
    """Return the bytes that a child writes until it ends, or None if it does not end in time.

    Processes that the child started may hold the pipe longer, so the end of the child counts and
    not the end of the pipe. More than `MAX_REPORT_BYTES` are read but dropped: no report is that
    long.
    """
    os.set_blocking(child.pipe, False)
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    report, ended, descriptors = bytearray(), False, {child.pipe}
    pidfd, longest_wait = None, POLL_SECONDS
    with suppress(OSError):  # gVisor has no pidfd
        pidfd, longest_wait = os.pidfd_open(child.pid), MAX_SELECT_SECONDS
        descriptors.add(pidfd)
    while not ended and (remaining := deadline - time.monotonic()) > 0:
        select.select(descriptors, [], [], min(remaining, longest_wait))
        ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        with suppress(BlockingIOError):
            while data := os.read(child.pipe, 1 << 16):
                if len(report) <= MAX_REPORT_BYTES:
                    report += data
            descriptors.discard(child.pipe)
    if pidfd is not None:
        os.close(pidfd)
    if not ended:
        return None
    return b"" if len(report) > MAX_REPORT_BYTES else bytes(report)


def move_report(pipe: int) -> None:
    """Move the pipe of the report to `REPORT_FD`, and keep no other descriptor of it."""
    if pipe != REPORT_FD:
        os.dup2(pipe, REPORT_FD)
        os.close(pipe)


def main() -> None:
    """Serve `run.sh`: read the canary's name from stdin and write the report to stdout."""
    stdout = os.dup(1)
    os.dup2(2, 1)
    files = read_python_files()  # before the answer is loaded, which may change them
    expected = expected_line(files)
    gc.freeze()  # pytest collects garbage at its end; what is imported by now is none
    child = fork()
    if child.pid == 0:
        os.close(stdout)
        move_report(child.pipe)
        # Only this process knows the name; the other one, which it could read, does not.
        canary = sys.stdin.readline().strip()
        detach_stdin()
        exit_with(lambda: run_tests(canary, files, REPORT_FD))
    detach_stdin()
    code, report = wait_for(child)
    with os.fdopen(stdout, "wb") as out:
        out.write(expected + report)
    sys.exit(code)


def detach_stdin() -> None:
    """Put an empty file in the place of stdin."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


if __name__ == "__main__":
    main()
