"""Serves one job after another, each in a fork of this process, which has everything loaded.

Runs as root and never runs a submission's code itself. The contract is in ../README.md.
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

sys.path.insert(0, str(Path(__file__).parent))

from run import in_child, run_tests  # python -P leaves this folder out

CODES = 3
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
    # What is there now belongs to every child: collecting it would only copy its pages.
    gc.collect()
    gc.freeze()


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


def serve(line: str) -> None:
    """Do one job; its report goes to stdout."""
    canary, uid, cpu, wall, pids, *options = line.split()

    def work(report: int) -> int:
        os.close(CODES)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        become(int(uid), int(cpu), int(pids))
        for option in options:
            name, _, value = option.partition("=")
            os.environ[name] = value
        return run_tests(canary, report)

    code, report = in_child(work, float(wall))
    sys.stdout.buffer.write(report)
    sys.stdout.buffer.flush()
    os.write(CODES, b"%d\n" % code)


def main() -> None:
    """Serve jobs until there are no more."""
    load()
    os.write(CODES, b"ready\n")
    for line in sys.stdin:
        serve(line)


if __name__ == "__main__":
    main()
