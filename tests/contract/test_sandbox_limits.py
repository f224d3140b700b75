"""Each limit of the table in docs/sandboxes.md, measured from inside a sandbox.

One language is enough: the limits of a sandbox hold for all.
"""

import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
from helpers.sandboxes import CONFINED, opened

from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Outcome, Problem, Verdict
from llmbench.runners import load_runners
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.launch import SLACK

pytestmark = [pytest.mark.anyio, pytest.mark.fixed_verdict]

LANG = "python"
ALL = load_runners(bundled_dir("runners"))
RUNNERS = {LANG: ALL[LANG]}
LIMITS = RUNNERS[LANG].limits
MIB = 2**20
WRITABLE = ("/work", "/tmp", "/dev/shm", "/dev/mqueue")

PROBE = """
import json, os
from solution import probe

def test_probe(capfd):
    with capfd.disabled():
        os.write(2, b"\\n" + json.dumps(probe()).encode() + b"\\n")
"""

SEES = """
import os, resource

def writable():
    for folder, below, _ in os.walk("/"):
        if folder in ("/proc", "/sys"):
            below.clear()
        try: os.close(os.open(f"{folder}/probe", os.O_CREAT))
        except OSError: continue
        os.unlink(f"{folder}/probe")
        yield folder

def read(path):
    return int(open(path).read())

def probe():
    lines = open("/proc/self/status").read().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    swap = None
    v1 = "/sys/fs/cgroup/memory/memory"
    if os.path.exists(f"{v1}.memsw.limit_in_bytes"):
        swap = read(f"{v1}.memsw.limit_in_bytes") - read(f"{v1}.limit_in_bytes")
    elif os.path.exists("/sys/fs/cgroup/memory.swap.max"):
        swap = read("/sys/fs/cgroup/memory.swap.max")
    return {
        "status": {name: value.split() for name, value in status.items()},
        "networks": [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line],
        "writable": list(writable()),
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "swap": swap,
        "environment": sorted(os.environ),
    }
"""

GETS = """
import errno, os, signal, time

def filled(folder):
    size = 0
    try:
        for number in range(10_000):
            with open(f"{folder}/big{number}", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, 4 << 20)
            size += 4 << 20
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
    for number in range(10_000):
        try: os.unlink(f"{folder}/big{number}")
        except FileNotFoundError: break
    return size

def largest_file():
    with open("/tmp/large", "wb", buffering=0) as file:
        try:
            while True: file.write(bytes(1 << 20))
        except OSError as error:
            assert error.errno == errno.EFBIG, error
        size = file.tell()
    os.unlink("/tmp/large")
    return size

def opened():
    numbers = []
    try:
        while True: numbers.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE, error
    for number in numbers: os.close(number)
    return len(numbers)

def started():
    pids = []
    try:
        while True:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            pids.append(pid)
    except OSError as error:
        assert error.errno == errno.EAGAIN, error
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return len(pids)

def processors():
    seconds, before, begun = 1.5, os.times(), time.monotonic()
    for _ in range(4):
        if os.fork() == 0:
            while time.monotonic() < begun + seconds: pass
            os._exit(0)
    for _ in range(4): os.wait()
    after = os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return used / (time.monotonic() - begun)

def probe():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return {
        "work": filled(os.getcwd()), "tmp": filled("/tmp"), "shm": filled("/dev/shm"),
        "file": largest_file(), "opened": opened(), "started": started(),
        "processors": processors(),
    }
"""

FLOODS = """
import os

def probe():
    for _ in range(100):
        os.write(2, b"x" * (1 << 20))
        os.write(1, b"x\\n" * (1 << 19))
"""


@pytest.fixture(params=CONFINED)
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    async with opened(request.param, RUNNERS) as sandbox:
        yield sandbox


async def run(sandbox: Sandbox, code: str) -> Verdict:
    problem = Problem("probe", LANG, "-", {"test_probe.py": PROBE})
    key = AttemptKey("t", "probe", 1)
    verdict = await sandbox.run(RUNNERS[LANG].submission(key, problem, code, 40.0))
    assert verdict.outcome is Outcome.PASSED, verdict.log
    return verdict


async def measure(sandbox: Sandbox, code: str) -> dict[str, Any]:
    lines = (await run(sandbox, code)).log.splitlines()
    values: dict[str, Any] = json.loads(next(line for line in lines if line.startswith("{")))
    return values


async def test_code_has_no_rights_no_network_and_no_place_to_write(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMBENCH_CANARY", "not for the code in a sandbox")
    seen = await measure(sandbox, SEES)
    status = seen["status"]
    assert "0" not in status["Uid"] + status["Gid"]
    for capabilities in ("CapInh", "CapPrm", "CapEff"):
        assert int(status[capabilities][0], 16) == 0, capabilities
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    assert set(seen["networks"]) <= {"lo"}
    outside = [p for p in seen["writable"] if not p.startswith(WRITABLE)]
    assert outside == []
    assert seen["core"] == [0, 0]
    assert not seen["swap"]  # None: the sandbox shows no group, or the kernel counts no swap
    assert "LLMBENCH_CANARY" not in seen["environment"]


async def test_code_can_use_resources_up_to_each_limit(sandbox: Sandbox) -> None:
    used = await measure(sandbox, GETS)
    for folder in ("work", "tmp"):
        assert LIMITS.work_mb - 8 < used[folder] / MIB <= LIMITS.work_mb, folder
    assert 0 < used["shm"] / MIB <= LIMITS.work_mb
    assert used["file"] / MIB == LIMITS.file_mb
    assert LIMITS.open_files - 50 < used["opened"] <= LIMITS.open_files
    assert LIMITS.pids - 20 < used["started"] <= LIMITS.pids
    assert used["processors"] < LIMITS.cpus * 1.3


async def test_a_flood_of_output_is_not_held_in_memory(sandbox: Sandbox) -> None:
    await run(sandbox, FLOODS)  # loads modules
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await run(sandbox, FLOODS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 2 * MIB  # of 150


@pytest.mark.parametrize("lang", ALL)
def test_less_than_a_mebibyte_of_output_is_kept(lang: str) -> None:
    limits = ALL[lang].limits
    assert (limits.log_kb + limits.report_kb) * 1024 + 2 * SLACK <= MIB
