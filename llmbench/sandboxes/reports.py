"""Test reports, and the judgement of an execution: by evidence, never by the text of a log."""

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple
from xml.parsers import expat

from llmbench.records import Outcome, Verdict
from llmbench.sandboxes.base import Execution

COMPILE_ERROR_EXIT = 3
"""What `run.sh` exits with when the compiler's own step refused the solution."""


class Report(NamedTuple):
    """How many tests passed, did not pass, and were skipped."""

    passed: int
    failed: int
    skipped: int

    @property
    def total(self) -> int:
        """Tests that ran."""
        return self.passed + self.failed


def read_junit(data: bytes) -> Report | None:
    """Count the test cases of a JUnit XML report; None when it is not a whole report.

    Nothing is built from it and a DTD ends the reading, so no report can swell in memory.
    """
    counter = _CaseCounter()
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = counter.start
    parser.EndElementHandler = counter.end
    parser.StartDoctypeDeclHandler = counter.doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError):
        return None
    return Report(counter.passed, counter.failed, counter.skipped)


class _CaseCounter:
    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0
        self._depth = 0
        self._case: int | None = None
        self._marks: set[str] = set()

    def doctype(self, *_: object) -> None:
        raise ValueError("a test report has no DTD")

    def start(self, name: str, _: object) -> None:
        self._depth += 1
        if name == "testcase":
            self._case, self._marks = self._depth, set()
        elif self._case == self._depth - 1:
            self._marks.add(name)

    def end(self, _: str) -> None:
        if self._depth == self._case:
            if self._marks & {"failure", "error"}:
                self.failed += 1
            elif "skipped" in self._marks:
                self.skipped += 1
            else:
                self.passed += 1
            self._case = None
        self._depth -= 1


def read_gotest(data: bytes) -> Report | None:
    """Count the tests of a `go test -json` event stream; a test that never ended has failed.

    A test that has subtests is counted by them, and by itself only if it failed without them.
    """
    ends: dict[str, str] = {}
    for line in data.splitlines():
        try:
            event = json.loads(line)
            name, action = event.get("Test"), event["Action"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        if isinstance(name, str) and action in ("run", "pass", "fail", "skip"):
            ends[name] = action
    parents = {name.rpartition("/")[0] for name in ends}
    blamed = {name.rpartition("/")[0] for name, end in ends.items() if end in ("fail", "run")}
    counted = [
        end
        for name, end in ends.items()
        if name not in parents or (end in ("fail", "run") and name not in blamed)
    ]
    passed, skipped = counted.count("pass"), counted.count("skip")
    return Report(passed, len(counted) - passed - skipped, skipped)


READERS: Mapping[str, Callable[[bytes], Report | None]] = {
    "junit": read_junit,
    "gotest": read_gotest,
}


def judge(execution: Execution, report_format: str) -> Verdict:
    """The verdict on an execution.

    Passed needs exit 0 and a whole report with at least one test passed and none failed, so that
    a solution which ends the process with 0, or skips every test, has not passed. Memory goes
    before time: what was killed for memory may leave others waiting for it until the limit.
    """
    report = READERS[report_format](execution.report)
    if execution.exit_code == 0 and report and report.passed and not report.failed:
        outcome = Outcome.PASSED
    elif execution.out_of_memory:
        outcome = Outcome.OUT_OF_MEMORY
    elif execution.timed_out:
        outcome = Outcome.TIMEOUT
    elif execution.exit_code == COMPILE_ERROR_EXIT:
        outcome = Outcome.COMPILE_ERROR
    else:
        outcome = Outcome.FAILED
    return Verdict(
        outcome=outcome,
        exit_code=execution.exit_code,
        tests_passed=report.passed if report else None,
        tests_total=report.total if report else None,
        seconds=execution.seconds,
        cpu_seconds=execution.cpu_seconds,
        log=execution.log,
    )
