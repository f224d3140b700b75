"""Problems with `race: on`: the race detector judges in every sandbox, and cannot be turned off."""

from collections.abc import AsyncIterator

import pytest
from helpers.sandboxes import CONFINED, RUNNERS, opened

from llmbench.records import AttemptKey, Outcome, Problem
from llmbench.sandboxes.base import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.fixed_verdict]

TESTS = """
package solution

import ("sync"; "testing")

func TestAll(t *testing.T) {
    var group sync.WaitGroup
    for range 8 { group.Go(func() { Add() }) }
    group.Wait()
}
"""
LOCKED = """
package solution
import "sync"
var total int
var lock sync.Mutex
func Add() { lock.Lock(); defer lock.Unlock(); total++ }
"""
UNLOCKED = """
package solution
var total int
func Add() { total++ }
"""
# No test runs while these two meet.
BEFORE_THE_TESTS = """
package solution
import "sync"
func Add() {}
func init() {
    total := 0
    var group sync.WaitGroup
    for range 2 { group.Go(func() { total++ }) }
    group.Wait()
}
"""
UNSEEN = """
package solution
var total int
//go:norace
func Add() { total++ }
"""
TURNED_OFF = """
package solution
import "runtime"
var total int
func Add() { runtime.RaceDisable(); total++ }
"""
IN_C = """
package solution
// static int total = 0;
// static void add(void) { total++; }
import "C"
func Add() { C.add() }
"""
VERDICTS = {
    "locked": (LOCKED, Outcome.PASSED, ""),
    "unlocked": (UNLOCKED, Outcome.FAILED, "WARNING: DATA RACE"),
    "before the tests": (BEFORE_THE_TESTS, Outcome.FAILED, "WARNING: DATA RACE"),
    "unseen": (UNSEEN, Outcome.COMPILE_ERROR, "turns the race detector off"),
    "turned off": (TURNED_OFF, Outcome.COMPILE_ERROR, "turns the race detector off"),
    "in C": (IN_C, Outcome.COMPILE_ERROR, 'imports "C"'),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def sandbox(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    async with opened(request.param, {"go": RUNNERS["go"]}) as sandbox:
        yield sandbox


async def verdict(sandbox: Sandbox, code: str, race: str) -> tuple[Outcome, str]:
    problem = Problem("p", "go", "-", {"all_test.go": TESTS}, options={"race": race})
    submission = RUNNERS["go"].submission(AttemptKey("t", "p", 1), problem, code, 90.0, 60.0)
    result = await sandbox.run(submission)
    return result.outcome, result.log


@pytest.mark.parametrize("sandbox", CONFINED, indirect=True)
async def test_races_fail_and_the_detector_cannot_be_turned_off(sandbox: Sandbox) -> None:
    for name, (code, outcome, text) in VERDICTS.items():
        result, log = await verdict(sandbox, code, "on")
        assert result is outcome, (name, log)
        assert text in log, (name, log)


@pytest.mark.parametrize("sandbox", CONFINED, indirect=True)
async def test_only_the_detector_sees_a_race(sandbox: Sandbox) -> None:
    # In a reused container both kinds of problems follow each other.
    for race, outcome in (("off", Outcome.PASSED), ("on", Outcome.FAILED), ("off", Outcome.PASSED)):
        result, log = await verdict(sandbox, UNLOCKED, race)
        assert result is outcome, (race, log)


@pytest.mark.parametrize("sandbox", CONFINED, indirect=True)
async def test_goroutines_run_at_once(sandbox: Sandbox) -> None:
    code = """
package solution
import "runtime"
func Add() { if runtime.GOMAXPROCS(0) < 2 { panic("one at a time") } }
"""
    result, log = await verdict(sandbox, code, "on")
    assert result is Outcome.PASSED, log


def test_a_problem_about_races_may_use_more_than_one_core() -> None:
    runner = RUNNERS["go"]
    assert runner.for_options({"race": "on"}).limits.cpus == 2
    assert runner.for_options({"race": "off"}).limits == runner.limits
