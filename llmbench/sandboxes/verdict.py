"""The verdict on a test run: decided by its evidence, never by the text of its log."""

from dataclasses import dataclass

from llmbench.records import Outcome, Verdict
from llmbench.sandboxes import expected_tests
from llmbench.sandboxes.report_formats import REPORT_READERS

COMPILE_ERROR_EXIT = 3
"""Exit code of `run.sh` when the compiler refused the solution."""

UNFINISHED = "[the tests did not come to their end: the last of them is not in their report]"
NOT_BELIEVED = "[a test that must fail has passed: what the tests use was tampered with]"
MISSING = "[tests that must pass did not run, or were skipped: {}]"
MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class Execution:
    """The evidence of one run of `run.sh`, without judgement.

    `exit_code` is None if the sandbox killed the run. `report` is its stdout, which begins with the
    expected tests, and `log` its stderr, both bounded. `canary` is part of the name of a test that
    must be in the report as failed. `seconds` and `cpu_seconds` measure the tests alone.
    """

    exit_code: int | None
    timed_out: bool
    out_of_memory: bool
    report: bytes
    log: str
    canary: str
    seconds: float
    cpu_seconds: float | None = None


def judge(execution: Execution, report_format: str) -> Verdict:
    """Return the verdict on an execution.

    A pass needs exit code 0 and a complete report in which the canary failed, at least one test
    passed, none failed, and none is missing of those that were expected before the answer was
    loaded. So a solution cannot pass by exiting with 0, skipping a test, forging a report or
    breaking the test framework. Memory is checked before time: after a kill
    for memory, other processes may wait until the time limit.
    """
    expected, data = expected_tests.split(execution.report)
    report = REPORT_READERS[report_format](data, execution.canary)
    missing = expected_tests.count_missing(expected, report.tests if report else ())
    canary_failed = report.canary_failed if report else None
    log = execution.log
    passed = (
        execution.exit_code == 0
        and report
        and canary_failed
        and report.passed
        and not report.failed
        and not missing
    )
    if passed and not execution.timed_out:
        outcome = Outcome.PASSED
    elif execution.out_of_memory:
        outcome = Outcome.OUT_OF_MEMORY
    elif execution.timed_out:
        outcome = Outcome.TIMEOUT
    elif execution.exit_code == COMPILE_ERROR_EXIT:
        outcome = Outcome.COMPILE_ERROR
    else:
        outcome = Outcome.FAILED
        if not canary_failed:
            log = f"{UNFINISHED if canary_failed is None else NOT_BELIEVED}\n{log}"
        elif missing:
            log = f"{MISSING.format(', '.join(list(missing)[:MOST_NAMES]))}\n{log}"
    return Verdict(
        outcome=outcome,
        exit_code=execution.exit_code,
        tests_passed=report.passed if report else None,
        tests_total=report.total + sum(missing.values()) if report else None,
        seconds=execution.seconds,
        cpu_seconds=execution.cpu_seconds,
        log=log,
    )
