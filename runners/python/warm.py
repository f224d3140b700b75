"""Runs one job after another, each in a fork of a pytest that has already started.

pytest starts once, in the empty work folder. For each job it forks, and the fork continues in a
work folder that now holds that job's tests. This process runs as root and never runs the code of a
submission itself. The contract is in ../README.md.
"""

import ctypes
import gc
import importlib
import os
import resource
import sys
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TextIO

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # python -P leaves this folder out

from canary import Canary
from expected import expected_line, read_python_files
from run import (
    REPORT_FD,
    enter_folder,
    exit_with,
    fork,
    move_report,
    pytest_args,
    run_tests,
    wait_for,
)

STATUS_FD = 3

PRIVATE_DIR = "/run"
PR_SET_DUMPABLE = 4

PRELOADED = (
    *("fastapi", "fastapi.testclient", "httpx", "pydantic", "pydantic.v1"),
    *("sqlalchemy", "sqlalchemy.orm", "sqlalchemy.pool", "sqlalchemy.dialects.sqlite"),
    *("anyio.from_thread", "anyio._backends._asyncio", "sqlite3"),
    *("asyncio", "dataclasses", "datetime", "decimal", "json", "typing", "zoneinfo"),
)
"""The modules that solutions and tests import most often, and those that are slow to import."""

EXAMPLE = "def test_one(tmp_path, capsys, monkeypatch): assert tmp_path"

_libc = ctypes.CDLL(None)


def preload() -> None:
    """Import common modules and run one test, so that forks start with both already loaded."""
    for name in PRELOADED:
        with suppress(ImportError), warnings.catch_warnings(action="ignore"):
            importlib.import_module(name)
    stdout, stderr = os.dup(1), os.dup(2)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    run_example(devnull)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for descriptor in (stdout, stderr, devnull):
        os.close(descriptor)


def run_example(report: int) -> None:
    """Run a trivial test and undo its effects, except for the modules that it loaded."""
    path, folder, temporary = list(sys.path), Path.cwd(), os.environ["TMPDIR"]
    with tempfile.TemporaryDirectory(dir=PRIVATE_DIR) as scratch:
        Path(scratch, "test_example.py").write_text(EXAMPLE)
        os.chdir(scratch)
        os.environ["TMPDIR"] = scratch
        run_tests("canary", read_python_files(), report)
        os.chdir(folder)
        os.environ["TMPDIR"] = temporary
    tempfile.tempdir = None
    sys.path[:] = path
    del sys.modules["test_example"]


def drop_privileges(uid: int, cpu: int, pids: int) -> None:
    """Become the user `uid` for good, limited to `cpu` seconds and `pids` processes."""
    Path("/proc/self/oom_score_adj").write_text("1000")
    os.setsid()
    resource.setrlimit(resource.RLIMIT_NPROC, (pids, pids))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # A change of user without an exec leaves /proc/self to root; this gives it to the user.
    _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


class JobServer:
    """A pytest plugin that stops pytest at its start and lets a fork continue for each job."""

    def __init__(self, canary: Canary, jobs: TextIO, reports: BinaryIO) -> None:
        self.canary, self.jobs, self.reports = canary, jobs, reports

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Serve all jobs; return only in forks, where all plugins are ready to collect tests."""
        # Freeze all objects: collecting them in a child would only copy their pages.
        gc.collect()
        gc.freeze()
        os.write(STATUS_FD, b"ready\n")
        for line in self.jobs:
            canary, uid, cpu, wall, pids, *options = line.split()
            files = read_python_files()
            expected = expected_line(files)
            child = fork()
            if child.pid == 0:
                self.close_all_but(child.pipe)
                drop_privileges(int(uid), int(cpu), int(pids))
                for option in options:
                    name, _, value = option.partition("=")
                    os.environ[name] = value
                start_job(session.config, self.canary, canary, files)
                return
            code, report = wait_for(child, float(wall))
            self.reports.write(expected + report)
            self.reports.flush()
            os.write(STATUS_FD, b"%d\n" % code)
        os._exit(0)

    def close_all_but(self, pipe: int) -> None:
        """Close the server's descriptors in a job's process, and move `pipe` to `REPORT_FD`."""
        self.jobs.close()
        self.reports.close()
        os.close(STATUS_FD)
        move_report(pipe)


def start_job(
    config: pytest.Config, canary: Canary, name: str, files: Mapping[Path, bytes]
) -> None:
    """Prepare this fork's pytest for the tests of the current folder, whose files are these.

    pytest captures output in files that a fork shares with its parent, so the fork opens new ones.
    With a conftest.py, which may change how pytest starts, pytest starts anew.
    """
    tempfile.tempdir = None
    capture = config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    capture.stop_global_capturing()
    renew_log()
    if any(path.name == "conftest.py" for path in files):
        exit_with(lambda: run_tests(name, files, REPORT_FD))
    canary.begin(name, files)
    enter_folder()
    capture.start_global_capturing()
    capture.suspend_global_capture()


def renew_log() -> None:
    """Open the log anew, so that no flag that a job sets on it counts for the next job."""
    folder = "/proc/self/fd"
    log = os.readlink(f"{folder}/2")  # noqa: PTH115  # a Path for each takes ten times as long
    with suppress(OSError):  # gVisor lets no other user open it
        new = os.open(f"{folder}/2", os.O_WRONLY)
        for number in map(int, os.listdir(folder)):  # noqa: PTH208
            with suppress(OSError):
                if number != new and os.readlink(f"{folder}/{number}") == log:  # noqa: PTH115
                    os.dup2(new, number, os.get_inheritable(number))
        os.close(new)


def main() -> None:
    """Serve jobs until stdin ends."""
    preload()
    jobs, reports = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    canary = Canary()
    server = JobServer(canary, jobs, reports)

    def work() -> int:
        pytest.main(pytest_args(f"/proc/self/fd/{REPORT_FD}"), plugins=[canary, server])
        return canary.exit_code()

    exit_with(work)


if __name__ == "__main__":
    main()
