"""Podman through its Docker-compatible socket: the parts that another engine could change.

One language is enough: the container differs from Docker's, and the tests in it do not.
"""

import os
from collections.abc import AsyncIterator, Iterator

import aiodocker
import anyio
import pytest
from helpers.private_podman import NoPodmanError, PrivatePodman, private_podman
from helpers.sandboxes import REQUIRED
from test_sandboxes import CONFINED_VERDICTS, VERDICTS, submission

from llmbench.errors import SandboxError
from llmbench.plan import bundled_dir
from llmbench.records import Outcome
from llmbench.runners import load_runners
from llmbench.sandboxes.diagnostics import State
from llmbench.sandboxes.docker import client, health, owner
from llmbench.sandboxes.docker.container import DockerSandbox

pytestmark = [pytest.mark.anyio, pytest.mark.docker, pytest.mark.fixed_verdict]

LANG = "python"
RUNNERS = {LANG: load_runners(bundled_dir("runners"))[LANG]}
IMAGE = RUNNERS[LANG].config.image
NAMES = [
    "passes",
    "fails",
    "does_not_compile",
    "exits_with_zero",
    "loops_forever",
    "eats_memory",
    "floods_the_log",
    "leaves_a_process",
    *CONFINED_VERDICTS,
]


@pytest.fixture(scope="module")
def shared() -> Iterator[PrivatePodman]:
    try:
        with private_podman(IMAGE) as service:
            yield service
    except NoPodmanError as error:
        if "podman" in REQUIRED:
            pytest.fail(f"podman is required here: {error}")
        pytest.skip(str(error))


@pytest.fixture
def podman(shared: PrivatePodman, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivatePodman]:
    monkeypatch.setenv("DOCKER_HOST", shared.host)
    yield shared
    assert shared.containers() == []


@pytest.fixture
async def sandbox(podman: PrivatePodman) -> AsyncIterator[DockerSandbox]:
    sandbox = await DockerSandbox.open(RUNNERS, f"podman-{os.getpid()}")
    try:
        yield sandbox
    finally:
        await sandbox.aclose()


@pytest.mark.parametrize("name", NAMES)
async def test_a_program_gets_its_verdict_under_podman(
    sandbox: DockerSandbox, name: str, port: int
) -> None:
    verdict = await sandbox.run(submission(LANG, name, port=port))
    assert verdict.outcome in {**VERDICTS, **CONFINED_VERDICTS}[name], verdict.log
    assert verdict.cpu_seconds is not None
    assert await sandbox.containers() == []


async def test_a_cancelled_run_leaves_no_container(sandbox: DockerSandbox) -> None:
    with anyio.move_on_after(2) as scope:
        await sandbox.run(submission(LANG, "loops_forever"))
    assert scope.cancelled_caught
    assert await sandbox.containers() == []


async def test_a_container_killed_from_outside_is_a_sandbox_error(
    sandbox: DockerSandbox, podman: PrivatePodman
) -> None:
    results: list[Outcome | SandboxError] = []
    killed: set[str] = set()

    async def run() -> None:
        try:
            results.append((await sandbox.run(submission(LANG, "loops_forever"))).outcome)
        except SandboxError as error:
            results.append(error)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            while len(killed) < 2:
                await anyio.sleep(0.2)
                for container in set(podman.containers()) - killed:
                    await anyio.sleep(1.5)  # the tests have begun
                    podman.kill(container)
                    killed.add(container)
    (error,) = results
    assert isinstance(error, SandboxError)
    assert "ended from outside" in str(error)


async def test_containers_of_a_dead_run_are_found_and_removed(podman: PrivatePodman) -> None:
    dead = owner.owner_label().split("/")
    dead[2] = "4194305"  # above the highest possible process id
    labels = {client.OWNER_LABEL: "/".join(dead)}
    async with aiodocker.Docker(podman.host) as docker:
        await docker.containers.create({"Image": IMAGE, "Labels": labels})
    findings = {finding.part: finding async for finding in health.findings(RUNNERS, fix=True)}
    assert "removed 1 containers of dead runs" in findings["orphans"].detail
    assert findings["engine"].detail.startswith("Podman Engine")
    wrong = {part for part, finding in findings.items() if finding.state is State.WRONG}
    assert wrong == set()
    assert podman.containers() == []
