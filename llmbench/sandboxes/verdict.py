"""Test reports, and the judgement of an execution: by evidence, never by the text of a log."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple
from xml.parsers import expat

from llmbench.records import Outcome, Verdict
from llmbench.sandboxes.base import Execution

COMPILE_ERROR_EXIT = 3
"""What `run.sh` exits with when the compiler's own step refused the solution."""


class Report(NamedTuple):
    """How many tests passed, did not pass, and were skipped; the canary is none of them.

    `canary` is its outcome: True when it failed, as it must; None when it is not there.
    """

    passed: int
    failed: int
    skipped: int
    canary: bool | None

    @property
    def total(self) -> int:
        """Tests that ran."""
        return self.passed + self.failed


def read_junit(data: bytes, canary: str) -> Report | None:
    """Count the test cases of a JUnit XML report; None when it is not a whole report.

    Nothing is built from it and a DTD ends the reading, so no report can swell in memory.
    """
    counter = _CaseCounter(canary)
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = counter.start
    parser.EndElementHandler = counter.end
    parser.StartDoctypeDeclHandler = counter.doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError):
        return None
    counts = counter.counts
    return Report(counts["passed"], counts["failed"], counts["skipped"], counter.caught)


class _CaseCounter:
    def __init__(self, canary: str) -> None:
        self.counts = Counter[str]()
        self.caught: bool | None = None
        self._canary = canary
        self._depth = 0
        self._case: int | None = None
        self._name = ""
        self._marks: set[str] = set()

    def doctype(self, *_: object) -> None:
        raise ValueError("a test report has no DTD")

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if name == "testcase":
            self._case, self._name, self._marks = self._depth, attributes.get("name", ""), set()
        elif self._case == self._depth - 1:
            self._marks.add(name)

    def end(self, _: str) -> None:
        if self._depth == self._case:
            failed = bool(self._marks & {"failure", "error"})
            if self._canary in self._name:
                self.caught = failed
            elif failed:
                self.counts["failed"] += 1
            else:
                self.counts["skipped" if "skipped" in self._marks else "passed"] += 1
            self._case = None
        self._depth -= 1


def read_gotest(data: bytes, canary: str) -> Report | None:
    """Count the tests of a `go test -json` event stream; a test that never ended has failed.

    A failure stands, whatever follows it. A test that has subtests is counted by them, and by
    itself only if it failed without them.
    """
    ends: dict[str, str] = {}
    for line in data.splitlines():
        try:
            event = json.loads(line)
            name, action = event.get("Test"), event["Action"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        known = isinstance(name, str) and action in ("run", "pass", "fail", "skip")
        if known and ends.get(name) != "fail":
            ends[name] = action
    caught = next((end == "fail" for name, end in ends.items() if canary in name), None)
    family = {name.partition("/")[0] for name in ends if canary in name}
    ends = {name: end for name, end in ends.items() if name.partition("/")[0] not in family}
    parents = {name.rpartition("/")[0] for name in ends}
    blamed = {name.rpartition("/")[0] for name, end in ends.items() if end in ("fail", "run")}
    counted = [
        end
        for name, end in ends.items()
        if name not in parents or (end in ("fail", "run") and name not in blamed)
    ]
    passed, skipped = counted.count("pass"), counted.count("skip")
    return Report(passed, len(counted) - passed - skipped, skipped, caught)


READERS: Mapping[str, Callable[[bytes, str], Report | None]] = {
    "junit": read_junit,
    "gotest": read_gotest,
}

UNFINISHED = "[the tests did not come to their end: the last of them is not in their report]"
NOT_BELIEVED = "[a test that must fail has passed: what the tests use was tampered with]"


def judge(execution: Execution, report_format: str) -> Verdict:
    """The verdict on an execution.

    Passed needs exit 0 and a whole report in which the canary failed, at least one test passed
    and none failed: a solution that ends the process with 0, skips every test, forges a report or
    breaks the means of the tests has not passed. Memory goes before time: what was killed for
    memory may leave others waiting for it until the limit.
    """
    report = READERS[report_format](execution.report, execution.canary)
    caught = report.canary if report else None
    log = execution.log
    passed = execution.exit_code == 0 and report and caught and report.passed and not report.failed
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
        if not caught:
            log = f"{UNFINISHED if caught is None else NOT_BELIEVED}\n{log}"
    return Verdict(
        outcome=outcome,
        exit_code=execution.exit_code,
        tests_passed=report.passed if report else None,
        tests_total=report.total if report else None,
        seconds=execution.seconds,
        cpu_seconds=execution.cpu_seconds,
        log=log,
    )
