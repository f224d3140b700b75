from dataclasses import replace
from pathlib import Path

import pytest

from llmbench.errors import SandboxError
from llmbench.records import AttemptKey, Outcome, Submission
from llmbench.runners import Option, ResourceLimits, Runner, RunnerConfig
from llmbench.sandboxes.base import CRASHED, BaseSandbox, CrashError
from llmbench.sandboxes.verdict import Execution

CONFIG = RunnerConfig(
    title="Any",
    fences=("any",),
    solution="s",
    image="no-such-image-anywhere",
    report="junit",
    toolchain={"sh": None},
)
RUNNER = Runner("any", Path("/nowhere"), CONFIG, ResourceLimits())
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

    async def versions(self) -> dict[str, str]:
        return {}

    async def aclose(self) -> None:
        pass


@pytest.mark.anyio
async def test_an_option_that_cannot_be_judged_is_never_run() -> None:
    option = Option(("off", "on"), "off", programs=("gcc",))
    runner = replace(RUNNER, config=replace(CONFIG, options={"race": option}))
    sandbox = Flaky(faults=0)
    sandbox.runners = {"any": runner}
    sandbox.unusable = {("any", "race"): ("no gcc", "install gcc")}
    for options in ({}, {"race": "off"}):
        passed = await sandbox.run(replace(SUBMISSION, options=options))
        assert passed.outcome is Outcome.PASSED
    with pytest.raises(SandboxError) as caught:
        await sandbox.run(replace(SUBMISSION, options={"race": "on"}))
    assert str(caught.value) == "race: on cannot be judged here: no gcc: install gcc"
    assert sandbox.calls == 2


@pytest.mark.anyio
async def test_a_failed_sandbox_gets_one_more_try() -> None:
    sandbox = Flaky(faults=1)
    assert (await sandbox.run(SUBMISSION)).outcome is Outcome.PASSED
    assert sandbox.calls == 2


@pytest.mark.anyio
async def test_a_second_failure_is_an_error() -> None:
    sandbox = Flaky(faults=2)
    with pytest.raises(SandboxError, match="fault 2"):
        await sandbox.run(SUBMISSION)
    assert sandbox.calls == 2


BROKEN = Execution(139, False, False, b"", "the log", "canary", 0.1)


class Crashing(Flaky):
    async def execute(self, submission: Submission, runner: Runner) -> Execution:
        self.calls += 1
        if self.calls <= self.faults:
            raise CrashError("a container crashed", BROKEN)
        return PASSED


@pytest.mark.anyio
@pytest.mark.parametrize(("faults", "outcome"), [(1, Outcome.PASSED), (2, Outcome.FAILED)])
async def test_an_answer_that_breaks_its_launcher_twice_has_failed(
    faults: int, outcome: Outcome
) -> None:
    sandbox = Crashing(faults)
    verdict = await sandbox.run(SUBMISSION)
    assert (verdict.outcome, sandbox.calls) == (outcome, 2)
    assert (CRASHED in verdict.log) is (outcome is Outcome.FAILED)
