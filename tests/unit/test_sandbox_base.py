from pathlib import Path
from typing import Any

import pytest

from llmbench.errors import NoSandboxError, SandboxError
from llmbench.records import AttemptKey, Outcome, Submission
from llmbench.runners import ResourceLimits, Runner, RunnerConfig
from llmbench.sandboxes import open as choose
from llmbench.sandboxes.base import Execution, SandboxSpec
from llmbench.sandboxes.docker import owner
from llmbench.sandboxes.docker.container import DockerSandbox
from llmbench.sandboxes.grading import BaseSandbox
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
from llmbench.sandboxes.local.process import ProcessSandbox

ABOUT = RunnerConfig(
    title="Any",
    fences=("any",),
    solution="s",
    image="no-such-image-anywhere",
    report="junit",
    toolchain={"sh": None},
)
RUNNER = Runner("any", Path("/nowhere"), ABOUT, ResourceLimits())
SUBMISSION = Submission(AttemptKey("t", "p", 1), "any", {}, 1.0, 1.0)
REPORT = b"<t><testcase name='a'/><testcase name='canary'><failure/></testcase></t>"
PASSED = Execution(0, False, False, REPORT, "", "canary", 0.1)


class Flaky(BaseSandbox):
    name = "flaky"

    def __init__(self, faults: int) -> None:
        super().__init__({"any": RUNNER})
        self.faults = faults
        self.calls = 0

    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        self.calls += 1
        if self.calls <= self.faults:
            raise SandboxError(f"fault {self.calls}")
        return PASSED

    async def aclose(self) -> None:
        pass


@pytest.mark.anyio
async def test_a_fault_of_the_sandbox_is_met_with_one_more_try() -> None:
    sandbox = Flaky(faults=1)
    assert (await sandbox.run(SUBMISSION)).outcome is Outcome.PASSED
    assert sandbox.calls == 2


@pytest.mark.anyio
async def test_a_second_fault_is_an_error() -> None:
    sandbox = Flaky(faults=2)
    with pytest.raises(SandboxError, match="fault 2"):
        await sandbox.run(SUBMISSION)
    assert sandbox.calls == 2


def test_a_living_process_is_not_dead() -> None:
    assert not owner.is_dead(owner.owner_label())


@pytest.mark.parametrize(("part", "value"), [(1, "another-boot"), (2, "4194305"), (3, "1")])
def test_a_process_that_is_gone_is_dead(part: int, value: str) -> None:
    parts = owner.owner_label().split("/")
    parts[part] = value
    assert owner.is_dead("/".join(parts))


@pytest.mark.parametrize("label", ["", "elsewhere/boot/1/1", "a/b", "a/b/c/d/e"])
def test_what_another_host_made_is_left_alone(label: str) -> None:
    assert not owner.is_dead(label)


class Opens:
    """Stands for the three ways to open, each of which works or refuses."""

    def __init__(self, patch: pytest.MonkeyPatch, **faults: Exception | None) -> None:
        self.notes: list[str] = []
        for name, kind in {
            "docker": DockerSandbox,
            "bubblewrap": BubblewrapSandbox,
            "process": ProcessSandbox,
        }.items():
            patch.setattr(kind, "open", self._opener(name, faults.get(name)))

    def _opener(self, name: str, fault: Exception | None) -> object:
        async def open_(*_: object) -> str:
            if fault:
                raise fault
            return name

        return open_

    async def ask(self, kind: Any, *, own: bool = False) -> object:
        return await choose.open_sandbox(
            SandboxSpec(kind), {}, run_id="r", own_answers=own, notify=self.notes.append
        )


NO_ENGINE = NoSandboxError("no engine")
NO_IMAGE = SandboxError("no image")
NO_BWRAP = NoSandboxError("no bwrap")


@pytest.mark.anyio
async def test_auto_is_docker_where_an_engine_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    opens = Opens(monkeypatch)
    assert await opens.ask("auto") == "docker"
    assert opens.notes == []


@pytest.mark.anyio
async def test_auto_without_an_engine_is_bubblewrap_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opens = Opens(monkeypatch, docker=NO_ENGINE)
    assert await opens.ask("auto") == "bubblewrap"
    assert opens.notes == ["tests run under bubblewrap: no engine"]


@pytest.mark.anyio
async def test_a_missing_image_is_no_reason_for_another_sandbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SandboxError, match="no image"):
        await Opens(monkeypatch, docker=NO_IMAGE).ask("auto")


@pytest.mark.anyio
async def test_recorded_answers_go_on_without_an_image_and_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opens = Opens(monkeypatch, docker=NO_IMAGE)
    assert await opens.ask("auto", own=True) == "bubblewrap"
    assert opens.notes == ["tests run under bubblewrap: no image"]


@pytest.mark.anyio
async def test_generated_code_is_never_run_unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    opens = Opens(monkeypatch, docker=NO_ENGINE, bubblewrap=NO_BWRAP)
    with pytest.raises(NoSandboxError, match="never run unconfined: no engine; no bwrap"):
        await opens.ask("auto")


@pytest.mark.anyio
async def test_only_recorded_answers_run_as_plain_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opens = Opens(monkeypatch, docker=NO_ENGINE, bubblewrap=NO_BWRAP)
    assert await opens.ask("auto", own=True) == "process"
    assert opens.notes == ["recorded answers run as plain processes: no engine; no bwrap"]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["docker", "bubblewrap"])
async def test_a_sandbox_that_was_asked_for_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    opens = Opens(monkeypatch, docker=NO_ENGINE, bubblewrap=NO_BWRAP)
    with pytest.raises(NoSandboxError):
        await opens.ask(kind, own=True)


@pytest.mark.anyio
async def test_without_an_engine_the_refusal_names_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(NoSandboxError, match=r"none\.sock: start Docker, or set DOCKER_HOST"):
        await DockerSandbox.open({"any": RUNNER}, "r")


@pytest.mark.anyio
async def test_a_missing_program_is_named_with_what_installs_it() -> None:
    about = RunnerConfig(
        title="Odd", fences=("o",), solution="s", image="i", report="junit",
        toolchain={"no-such-program": None},
    )  # fmt: skip
    runner = Runner("odd", Path("/nowhere"), about, ResourceLimits())
    with pytest.raises(NoSandboxError, match=r"no-such-program \(for Odd\); install with: pip"):
        await ProcessSandbox.open({"odd": runner}, print)
