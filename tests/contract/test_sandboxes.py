"""The same programs in every language get the same verdict in every sandbox.

The programs are data: `programs/<language>.yaml`. Each language has all of them.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiodocker
import anyio
import pytest
import yaml
from helpers.sandboxes import GVISOR, REQUIRED, SPECS, ignore

from llmbench.errors import SandboxError
from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Outcome, Problem, Submission, Verdict
from llmbench.runners import load_runners
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.docker import client, container, owner
from llmbench.sandboxes.docker.container import DockerSandbox
from llmbench.sandboxes.docker.endpoints import find_endpoints
from llmbench.sandboxes.docker.warm import WarmDockerSandbox
from llmbench.sandboxes.local import process
from llmbench.sandboxes.local.process import ProcessSandbox
from llmbench.sandboxes.open import open_sandbox

pytestmark = pytest.mark.fixed_verdict

PASSED, FAILED, TIMEOUT = Outcome.PASSED, Outcome.FAILED, Outcome.TIMEOUT
COMPILE_ERROR, OUT_OF_MEMORY = Outcome.COMPILE_ERROR, Outcome.OUT_OF_MEMORY

RUNNERS = load_runners(bundled_dir("runners"))
LANGUAGES = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "programs").glob("*.yaml"))
}
SANDBOXES = {
    "docker": pytest.param("docker", marks=pytest.mark.docker),
    "docker-warm": pytest.param("docker-warm", marks=pytest.mark.docker),
    "bubblewrap": pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
    "process": pytest.param("process"),
}
CONFINED = [SANDBOXES[name] for name in ("docker", "docker-warm", "bubblewrap")]

VERDICTS = {
    "passes": {PASSED},
    "fails": {FAILED},
    "does_not_compile": {COMPILE_ERROR},
    "exits_with_zero": {FAILED},
    "skips_every_test": {FAILED},
    "has_tests_of_every_kind": {PASSED},
    "loops_forever": {TIMEOUT},
    "uses_cpu_time_in_children": {TIMEOUT},
    "eats_memory": {OUT_OF_MEMORY},
    "floods_the_log": {PASSED},
    "prints_binary_data": {PASSED},
    "leaves_a_process": {PASSED},
    # A guard that runs as another user cannot be stopped, and the attempt at it raises.
    "stops_its_timeout_process": {TIMEOUT, FAILED},
}
CONFINED_VERDICTS = {
    "sees_no_variable_of_the_host": {PASSED},
    "cannot_reach_the_host": {PASSED},
    "cannot_write_outside": {PASSED},
    "forks_without_end": {FAILED, TIMEOUT, OUT_OF_MEMORY, COMPILE_ERROR},
}
# The parts that another kernel could change.
UNDER_GVISOR = [
    "passes",
    "fails",
    "does_not_compile",
    "loops_forever",
    "eats_memory",
    "leaves_a_process",
]
SLEEP = str(10**6 + os.getpid())
"""Seconds that processes of this test run sleep, and no others."""
TIMEOUTS = {"loops_forever": 3.0, "stops_its_timeout_process": 3.0, "forks_without_end": 6.0}
CPU_SECONDS = {"uses_cpu_time_in_children": 3.0}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Place:
    """An open sandbox, the folder in which it should leave nothing, and the processes before."""

    sandbox: Sandbox
    folder: Path
    before: set[int]

    def run(self, submission: Submission) -> Any:
        return self.sandbox.run(submission)

    async def leftovers(self) -> list[str]:
        leftovers = [f"file {path}" for path in self.folder.iterdir()]
        leftovers += [f"process {pid}" for pid in descendants() - self.before]
        if isinstance(self.sandbox, DockerSandbox):
            idle = self.sandbox.idle if isinstance(self.sandbox, WarmDockerSandbox) else 0
            leftovers += [f"container {c.id}" for c in (await self.sandbox.containers())[idle:]]
        return leftovers


def descendants() -> set[int]:
    """Processes below this one, and those whose parent died, known by their time of sleep."""
    pids = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            if parent == os.getpid() or argv[:2] == [b"sleep", SLEEP.encode()]:
                pids.add(int(folder.name))
    return pids


@pytest.fixture
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    name, before = request.param, descendants()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for module in (container, process):
        monkeypatch.setattr(module, "OUTER_GRACE_SECONDS", 1.0)
    monkeypatch.setenv("LLMBENCH_CANARY", "not for the code in a sandbox")
    try:
        sandbox = await open_(name)
    except SandboxError as error:
        if name in REQUIRED:
            pytest.fail(f"{name} is required here: {error}")
        pytest.skip(str(error))
    try:
        yield Place(sandbox, tmp_path, before)
    finally:
        await sandbox.aclose()


async def open_(name: str) -> Sandbox:
    if name == "process":  # which --sandbox does not offer
        return await ProcessSandbox.open(RUNNERS, ignore)
    run_id = f"contract-{os.getpid()}"
    return await open_sandbox(SPECS[name], RUNNERS, run_id=run_id, own_answers=False, notify=ignore)


def submission(lang: str, name: str, *, port: int = 0) -> Submission:
    language = LANGUAGES[lang]
    program: dict[str, Any] = language["programs"][name] if name != "is_empty" else {"code": ""}
    tests = program.get("tests", language["tests"])
    problem = Problem(
        id=name,
        lang=lang,
        prompt="-",
        tests={path: text.replace("@PORT@", str(port)) for path, text in tests.items()},
        options=program.get("options", {}),
    )
    timeout = TIMEOUTS.get(name, 40.0)
    key = AttemptKey("t", name, 1)
    code = program["code"].replace("@SLEEP@", SLEEP)
    cpu_seconds = CPU_SECONDS.get(name, timeout)
    return RUNNERS[lang].submission(key, problem, code, timeout, cpu_seconds)


def test_every_language_has_every_program() -> None:
    assert set(LANGUAGES) == set(RUNNERS)
    for lang, language in LANGUAGES.items():
        assert set(language["programs"]) == {*VERDICTS, *CONFINED_VERDICTS}, lang


@pytest.mark.anyio
@pytest.mark.parametrize("name", VERDICTS)
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("place", SANDBOXES.values(), indirect=True)
async def test_a_program_gets_its_verdict_and_leaves_nothing(
    place: Place, lang: str, name: str
) -> None:
    verdict: Verdict = await place.run(submission(lang, name))
    assert verdict.outcome in VERDICTS[name], verdict.log
    assert verdict.seconds is not None
    assert await place.leftovers() == []


@pytest.mark.anyio
@pytest.mark.parametrize("place", CONFINED, indirect=True)
async def test_the_log_of_a_go_test_that_hangs_names_it(place: Place) -> None:
    verdict: Verdict = await place.run(submission("go", "loops_forever"))
    assert verdict.outcome is TIMEOUT
    assert "=== RUN   Test" in verdict.log


@pytest.mark.anyio
@pytest.mark.parametrize("name", CONFINED_VERDICTS)
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("place", CONFINED, indirect=True)
async def test_a_program_is_confined_and_leaves_nothing(
    place: Place, lang: str, name: str, port: int
) -> None:
    verdict: Verdict = await place.run(submission(lang, name, port=port))
    assert verdict.outcome in CONFINED_VERDICTS[name], verdict.log
    assert await place.leftovers() == []


@pytest.mark.anyio
@pytest.mark.parametrize("name", [*UNDER_GVISOR, *CONFINED_VERDICTS])
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("place", [GVISOR], indirect=True)
async def test_a_program_gets_its_verdict_under_gvisor(
    place: Place, lang: str, name: str, port: int
) -> None:
    verdict: Verdict = await place.run(submission(lang, name, port=port))
    assert verdict.outcome in {**VERDICTS, **CONFINED_VERDICTS}[name], verdict.log
    assert await place.leftovers() == []


@pytest.mark.anyio
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("place", [SANDBOXES["process"]], indirect=True)
async def test_a_plain_process_reaches_the_host(place: Place, lang: str, port: int) -> None:
    # Proves that the same program could reach it in the other sandboxes.
    verdict: Verdict = await place.run(submission(lang, "cannot_reach_the_host", port=port))
    assert verdict.outcome is FAILED


@pytest.mark.anyio
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("place", SANDBOXES.values(), indirect=True)
async def test_an_empty_solution_does_not_pass(place: Place, lang: str) -> None:
    verdict: Verdict = await place.run(submission(lang, "is_empty"))
    assert verdict.outcome in {FAILED, COMPILE_ERROR}


@pytest.mark.anyio
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("place", SANDBOXES.values(), indirect=True)
async def test_tests_are_counted_and_timed(place: Place, lang: str) -> None:
    began = time.monotonic()
    passes: Verdict = await place.run(submission(lang, "passes"))
    whole = time.monotonic() - began
    assert (passes.exit_code, passes.tests_passed, passes.tests_total) == (0, 2, 2)
    assert passes.seconds is not None
    assert passes.cpu_seconds is not None
    assert 0.01 < passes.seconds < whole
    assert 0.01 < passes.cpu_seconds < whole * (os.cpu_count() or 1)
    fails: Verdict = await place.run(submission(lang, "fails"))
    assert (fails.tests_passed, fails.tests_total) == (1, 2)


@pytest.mark.anyio
@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("place", SANDBOXES.values(), indirect=True)
async def test_a_flood_in_the_log_is_bounded(place: Place, lang: str) -> None:
    verdict: Verdict = await place.run(submission(lang, "floods_the_log"))
    assert len(verdict.log) <= RUNNERS[lang].limits.log_kb * 1024 + 100
    assert "bytes left out" in verdict.log


@pytest.mark.anyio
@pytest.mark.parametrize("place", SANDBOXES.values(), indirect=True)
async def test_a_cancelled_run_ends_at_once_and_leaves_nothing(place: Place) -> None:
    for lang in LANGUAGES:
        began = time.monotonic()
        with anyio.move_on_after(1.5) as scope:
            await place.run(submission(lang, "loops_forever"))
        assert scope.cancelled_caught
        assert time.monotonic() - began < 1.5 + 3
        assert await place.leftovers() == []


@pytest.mark.anyio
@pytest.mark.parametrize("place", SANDBOXES.values(), indirect=True)
async def test_concurrent_submissions_do_not_mix(place: Place) -> None:
    cases = [(lang, name) for name in ("passes", "fails", "does_not_compile") for lang in LANGUAGES]
    outcomes: dict[tuple[str, str], Outcome] = {}

    async def run(lang: str, name: str) -> None:
        outcomes[lang, name] = (await place.run(submission(lang, name))).outcome

    async with anyio.create_task_group() as group:
        for lang, name in cases:
            group.start_soon(run, lang, name)
    assert {key: {outcome} for key, outcome in outcomes.items()} == {
        (lang, name): VERDICTS[name] for lang, name in cases
    }
    assert await place.leftovers() == []


KILLED_WHILE_TESTS_RUN = """
import sys
import anyio
from test_sandboxes import open_, submission

async def main():
    sandbox = await open_("bubblewrap")
    await sandbox.run(submission(sys.argv[1], "loops_forever"))

anyio.run(main)
"""


@pytest.mark.anyio
@pytest.mark.parametrize("place", [SANDBOXES["bubblewrap"]], indirect=True)
async def test_tests_do_not_outlive_a_killed_llmbench(place: Place) -> None:
    command = [sys.executable, "-c", KILLED_WHILE_TESTS_RUN, next(iter(LANGUAGES))]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = await anyio.open_process(command, stdout=None, stderr=None, env=env)
    below: list[int] = []
    with anyio.fail_after(60):
        while len(below) < 4:  # bwrap, the launcher, its guard, run.sh
            assert killed.returncode is None
            await anyio.sleep(0.05)
            below = process.processes_below(killed.pid)
    killed.kill()
    await killed.aclose()
    with anyio.fail_after(10):
        while any(is_alive(pid) for pid in below):
            await anyio.sleep(0.02)


@pytest.mark.anyio
@pytest.mark.parametrize("which", [0, 1], ids=["bwrap", "launcher"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("place", [SANDBOXES["bubblewrap"]], indirect=True)
async def test_tests_killed_from_outside_get_one_more_try(
    place: Place, which: int, times: int
) -> None:
    results: list[Outcome | str] = []

    async def run() -> None:
        try:
            results.append((await place.run(submission("python", "loops_forever"))).outcome)
        except SandboxError as error:
            results.append(str(error))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(times):
            below: list[int] = []
            while len(below) < 5:  # bwrap, the launcher, its guard, run.sh, the tests
                await anyio.sleep(0.05)
                below = process.processes_below(os.getpid())
            os.kill(below[which], signal.SIGKILL)
            while any(map(is_alive, below)):
                await anyio.sleep(0.02)
    (result,) = results
    assert result is TIMEOUT if times == 1 else "ended from outside" in result
    assert await place.leftovers() == []


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.alone
@pytest.mark.anyio
@pytest.mark.parametrize("place", CONFINED[:1], indirect=True)
async def test_only_containers_of_dead_runs_are_removed_at_a_start(place: Place) -> None:
    assert isinstance(place.sandbox, DockerSandbox)
    image = next(iter(RUNNERS.values())).config.image
    dead = owner.owner_label().split("/")
    dead[2] = "4194305"  # above the highest possible process id
    run = f"contract-{os.getpid()}"
    async with aiodocker.Docker(find_endpoints()[0].url) as docker:
        for label in ("/".join(dead), owner.owner_label()):
            labels = {client.OWNER_LABEL: label, client.RUN_LABEL: run}
            await docker.containers.create({"Image": image, "Labels": labels})
    assert len(await place.sandbox.containers()) == 2
    other = await DockerSandbox.open(RUNNERS, "another run")
    await other.aclose()
    assert len(await place.sandbox.containers()) == 1
    same = await DockerSandbox.open(RUNNERS, run)
    await same.aclose()
    assert await place.sandbox.containers() == []
