"""Failures of an engine give no verdict: one more try, then an error, never a hang."""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import pytest
from helpers.private_engine import NoEngineError, PrivateEngine, StallingProxy, private_engine
from helpers.sandboxes import REQUIRED

from llmbench.errors import SandboxError
from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Outcome, Problem, Submission, Verdict
from llmbench.runners import Runner, load_runners
from llmbench.sandboxes.docker import client, container
from llmbench.sandboxes.docker.container import DockerSandbox
from llmbench.sandboxes.docker.warm import WarmDockerSandbox
from llmbench.sandboxes.verdict import Execution

pytestmark = [pytest.mark.anyio, pytest.mark.docker, pytest.mark.fixed_verdict]

LANG = "python"
RUNNERS = {LANG: load_runners(bundled_dir("runners"))[LANG]}
IMAGE = RUNNERS[LANG].config.image
TEST = """
import time
from solution import one

def test_one():
    time.sleep({})
    assert one() == 1
"""


@pytest.fixture(scope="module")
def shared() -> Iterator[PrivateEngine]:
    try:
        with private_engine(IMAGE) as engine:
            yield engine
    except NoEngineError as error:
        if "docker" in REQUIRED:
            pytest.fail(f"a private engine is required here: {error}")
        pytest.skip(str(error))


@pytest.fixture(name="private")
def private_(shared: PrivateEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateEngine]:
    shared.start()
    monkeypatch.setenv("DOCKER_HOST", shared.host)
    yield shared
    shared.start()
    assert shared.containers("-a") == []


@dataclass
class Place:
    """A sandbox, and the problem of each of its executions."""

    sandbox: DockerSandbox
    private: PrivateEngine
    tries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._execute = self.sandbox.execute
        # It only counts the calls of the method that it replaces.
        self.sandbox.execute = self._counted  # type: ignore[method-assign]

    async def _counted(self, submission: Submission, runner: Runner) -> Execution:
        self.tries.append(submission.key.problem_id)
        return await self._execute(submission, runner)

    async def run(self, seconds: float = 0.0, *, limit: float = 20.0) -> Verdict | SandboxError:
        """The verdict on a correct solution whose tests take so long, or the error."""
        problem = Problem("p", LANG, "-", {"test_it.py": TEST.format(seconds)})
        code = "def one():\n    return 1\n"
        key = AttemptKey("t", "p", len(self.tries) + 1)
        submission = RUNNERS[LANG].submission(key, problem, code, limit)
        with anyio.fail_after(40):
            try:
                return await self.sandbox.run(submission)
            except SandboxError as error:
                return error

    async def during(
        self, seconds: float, *faults: Callable[[], object], limit: float = 20.0
    ) -> Verdict | SandboxError:
        """As `run`, with one fault during the tests of each try."""
        results: list[Verdict | SandboxError] = []

        async def run() -> None:
            results.append(await self.run(seconds, limit=limit))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            for number, fault in enumerate(faults, 1):
                while len(self.tries) < number or not self.private.containers():
                    assert not results
                    await anyio.sleep(0.02)
                await anyio.sleep(0.6)  # the tests have begun
                await anyio.to_thread.run_sync(fault)
        return results[0]

    def kill_one(self) -> None:
        self.private.docker("kill", *self.private.containers())


@pytest.fixture(params=[DockerSandbox, WarmDockerSandbox], ids=["fresh", "warm"])
async def place(request: pytest.FixtureRequest, private: PrivateEngine) -> AsyncIterator[Place]:
    kind: type[DockerSandbox] = request.param
    sandbox = await kind.open(RUNNERS, f"faults-{os.getpid()}")
    try:
        yield Place(sandbox, private)
    finally:
        private.start()
        await sandbox.aclose()


def passed(result: Verdict | SandboxError) -> bool:
    return isinstance(result, Verdict) and result.outcome is Outcome.PASSED


async def test_a_container_killed_from_outside_gets_one_more_try(place: Place) -> None:
    assert passed(await place.during(1.5, place.kill_one))
    assert len(place.tries) == 2


async def test_a_container_killed_from_outside_twice_is_an_error(place: Place) -> None:
    result = await place.during(1.5, place.kill_one, place.kill_one)
    assert isinstance(result, SandboxError)
    assert len(place.tries) == 2
    assert passed(await place.run())


async def test_a_container_paused_from_outside_is_not_a_timeout(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause_one() -> None:
        # The kernel refuses to freeze a container at the moment when a process of it starts.
        for _ in range(20):
            paused = place.private.docker("pause", *place.private.containers(), check=False)
            if not paused.returncode:
                return
            time.sleep(0.05)
        pytest.fail("the container could not be paused")

    monkeypatch.setattr(container, "OUTER_GRACE_SECONDS", 1.0)
    assert passed(await place.during(1.5, pause_one, limit=8))
    assert len(place.tries) == 2


@pytest.mark.parametrize("ends", [PrivateEngine.stop, PrivateEngine.crash])
async def test_a_restart_of_the_engine_costs_no_attempt(
    place: Place, ends: Callable[[PrivateEngine], None]
) -> None:
    def restart() -> None:
        ends(place.private)
        time.sleep(0.5)
        place.private.start()

    assert passed(await place.run())
    assert passed(await place.during(1.5, restart))
    assert len(place.tries) == 3
    assert passed(await place.run())


async def test_an_engine_that_stays_down_is_waited_for_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "RESTART_SECONDS", 3.0)
    result = await place.during(1.5, place.private.stop)
    assert isinstance(result, SandboxError)
    began = time.monotonic()
    for _ in range(3):
        assert isinstance(await place.run(), SandboxError)
    assert time.monotonic() - began < 3
    place.private.start()
    assert passed(await place.run())


async def test_a_removed_image_is_an_error(place: Place) -> None:
    place.private.docker("tag", IMAGE, "kept")
    place.private.docker("rmi", IMAGE)
    try:
        result = await place.run()
    finally:
        place.private.docker("tag", "kept", IMAGE)
        place.private.docker("rmi", "kept")
    assert isinstance(result, SandboxError)
    assert "No such image" in str(result)
    assert len(place.tries) == 2
    assert passed(await place.run())


async def test_a_full_disk_is_an_error(place: Place) -> None:
    with place.private.full():
        result = await place.run()
    assert isinstance(result, SandboxError)
    assert "no space left" in str(result)
    assert len(place.tries) == 2
    assert passed(await place.run())


@dataclass
class Stuck:
    """A sandbox whose engine can be made to hang; its waits are short from then on."""

    place: Place
    proxy: StallingProxy
    patience: pytest.MonkeyPatch

    def stick(self) -> None:
        for name in ("API_SECONDS", "REMOVE_SECONDS", "PING_SECONDS"):
            self.patience.setattr(client, name, 1.0)
        self.patience.setattr(container, "RESTART_SECONDS", 1.0)
        self.proxy.stick()

    def flow(self) -> None:
        self.patience.undo()
        self.proxy.flow()


@pytest.fixture(params=[DockerSandbox, WarmDockerSandbox], ids=["fresh", "warm"])
async def stuck(
    request: pytest.FixtureRequest, private: PrivateEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stuck]:
    socket = private.folder / "p"
    proxy = StallingProxy(socket, private.socket)
    monkeypatch.setenv("DOCKER_HOST", proxy.host)
    monkeypatch.setattr(container, "OUTER_GRACE_SECONDS", 1.0)
    kind: type[DockerSandbox] = request.param
    sandbox = await kind.open(RUNNERS, f"faults-{os.getpid()}")
    patience = pytest.MonkeyPatch()
    try:
        yield Stuck(Place(sandbox, private), proxy, patience)
    finally:
        patience.undo()
        proxy.flow()
        await sandbox.aclose()
        proxy.close()
        socket.unlink()


async def test_a_stuck_engine_is_an_error_in_bounded_time(stuck: Stuck) -> None:
    stuck.stick()
    began = time.monotonic()
    assert isinstance(await stuck.place.run(), SandboxError)
    assert time.monotonic() - began < 10
    stuck.flow()
    assert passed(await stuck.place.run())


async def test_an_engine_that_gets_stuck_during_tests_is_not_a_timeout(stuck: Stuck) -> None:
    assert passed(await stuck.place.run())
    assert isinstance(await stuck.place.during(1.0, stuck.stick, limit=2), SandboxError)
    stuck.flow()
    assert passed(await stuck.place.run())


async def test_output_that_an_engine_held_back_is_received(stuck: Stuck) -> None:
    def stick_for_a_while() -> None:
        stuck.proxy.stick()
        time.sleep(4)  # longer than the limit and its grace
        stuck.proxy.flow()

    assert passed(await stuck.place.during(1.0, stick_for_a_while, limit=2.5))
    assert len(stuck.place.tries) == 1
