"""Serves one job after another, each in a fork of this process, which has pytest running.

pytest starts once, in the empty work folder, and a fork of it goes on for each job: it finds that
job's tests there and runs them, as if it had been started for them. This process runs as root and
never runs a submission's code itself. The contract is in ../README.md.
"""

import ctypes
import gc
import importlib
import os
import resource
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TextIO

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from canary import Canary  # python -P leaves this folder out
from run import end_with, enter_folder, flags, fork, outcome, run_tests

CODES = 3
REPORT = 4
"""Where a job has the pipe of its report."""

PRIVATE = "/run"
PR_SET_DUMPABLE = 4

LOADED = (
    *("fastapi", "fastapi.testclient", "httpx", "pydantic", "pydantic.v1"),
    *("sqlalchemy", "sqlalchemy.orm", "sqlalchemy.pool", "sqlalchemy.dialects.sqlite"),
    *("anyio.from_thread", "anyio._backends._asyncio", "sqlite3"),
    *("asyncio", "dataclasses", "datetime", "decimal", "json", "typing", "zoneinfo"),
)
"""What solutions and tests import most, and what takes long to import."""

EXAMPLE = "def test_one(tmp_path, capsys, monkeypatch): assert tmp_path"

_libc = ctypes.CDLL(None)


def load() -> None:
    """Import what will be wanted, and run tests once: what they load and cache is then there."""
    for name in LOADED:
        with suppress(ImportError), warnings.catch_warnings(action="ignore"):
            importlib.import_module(name)
    stdout, stderr = os.dup(1), os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    try_example(nothing)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for descriptor in (stdout, stderr, nothing):
        os.close(descriptor)


def try_example(report: int) -> None:
    """Run a test of our own, and leave no trace but what became loaded."""
    path, here, temporary = list(sys.path), Path.cwd(), os.environ["TMPDIR"]
    with tempfile.TemporaryDirectory(dir=PRIVATE) as folder:
        Path(folder, "test_example.py").write_text(EXAMPLE)
        os.chdir(folder)
        os.environ["TMPDIR"] = folder
        run_tests("canary", report)
        os.chdir(here)
        os.environ["TMPDIR"] = temporary
    tempfile.tempdir = None
    sys.path[:] = path
    del sys.modules["test_example"]


def become(uid: int, cpu: int, pids: int) -> None:
    """Give up everything that the user `uid` does not have, for good."""
    Path("/proc/self/oom_score_adj").write_text("1000")
    os.setsid()
    resource.setrlimit(resource.RLIMIT_NPROC, (pids, pids))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Without it /proc/self belongs to root, as after any change of user without an exec.
    _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


class Jobs:
    """A plugin of pytest that holds its start, and lets a fork of it go on for each job."""

    def __init__(self, canary: Canary, jobs: TextIO, reports: BinaryIO) -> None:
        self.canary, self.jobs, self.reports = canary, jobs, reports

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Return in forks alone: all plugins are ready, and none has looked for a test yet."""
        # What is there now belongs to every child: collecting it would only copy its pages.
        gc.collect()
        gc.freeze()
        os.write(CODES, b"ready\n")
        for line in self.jobs:
            canary, uid, cpu, wall, pids, *options = line.split()
            child = fork()
            if child.pid == 0:
                self.close(child.pipe)
                become(int(uid), int(cpu), int(pids))
                for option in options:
                    name, _, value = option.partition("=")
                    os.environ[name] = value
                resume_from(session.config, self.canary, canary)
                return
            code, report = outcome(child, float(wall))
            self.reports.write(report)
            self.reports.flush()
            os.write(CODES, b"%d\n" % code)
        os._exit(0)

    def close(self, pipe: int) -> None:
        """Keep nothing that is not the job's own."""
        self.jobs.close()
        self.reports.close()
        os.close(CODES)
        os.dup2(pipe, REPORT)
        os.close(pipe)


def resume_from(config: pytest.Config, canary: Canary, name: str) -> None:
    """Become the pytest of the current folder, in which nothing is left of the parent's.

    What tests print is caught in files that a fork would share with its parent, so there are new
    ones. A conftest.py may change how pytest starts, so there it starts anew.
    """
    tempfile.tempdir = None
    capture = config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    capture.stop_global_capturing()
    if any(Path().rglob("conftest.py")):
        end_with(lambda: run_tests(name, REPORT))
    canary.name = name
    enter_folder()
    capture.start_global_capturing()
    capture.suspend_global_capture()


def main() -> None:
    """Serve jobs until there are no more."""
    load()
    jobs, reports = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    canary = Canary("")

    def work() -> int:
        pytest.main(flags(f"/proc/self/fd/{REPORT}"), plugins=[canary, Jobs(canary, jobs, reports)])
        return canary.exit_code()

    end_with(work)


if __name__ == "__main__":
    main()
