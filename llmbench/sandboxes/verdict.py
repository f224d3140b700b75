"""The verdict on a test run: decided by its evidence, never by the text of its log."""

from dataclasses import dataclass

from llmbench.records import Outcome, Verdict
from llmbench.sandboxes.report_formats import REPORT_READERS

COMPILE_ERROR_EXIT = 3
"""Exit code of `run.sh` when the compiler refused the solution."""

UNFINISHED = "[the tests did not come to their end: the last of them is not in their report]"
NOT_BELIEVED = "[a test that must fail has passed: what the tests use was tampered with]"


@dataclass(frozen=True, slots=True)
class Execution:
    """The evidence of one run of `run.sh`, without judgement.

    `exit_code` is None if the sandbox killed the run. `report` is its stdout and `log` its stderr,
    both bounded. `canary` is part of the name of a test that must be in the report as failed.
    `seconds` and `cpu_seconds` measure the tests alone.
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
    passed and none failed. So a solution cannot pass by exiting with 0, skipping every test,
    forging a report or breaking the test framework. Memory is checked before time: after a kill
    for memory, other processes may wait until the time limit.
    """
    report = REPORT_READERS[report_format](execution.report, execution.canary)
    canary_failed = report.canary_failed if report else None
    log = execution.log
    passed = (
        execution.exit_code == 0
        and report
        and canary_failed
        and report.passed
        and not report.failed
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
    return Verdict(
        outcome=outcome,
        exit_code=execution.exit_code,
        tests_passed=report.passed if report else None,
        tests_total=report.total if report else None,
        seconds=execution.seconds,
        cpu_seconds=execution.cpu_seconds,
        log=log,
    )
