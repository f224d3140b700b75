"""The formats of test reports, and a reader for each."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple
from xml.parsers import expat

from llmbench.sandboxes.expected_tests import FAILED, PASSED, SKIPPED, ReportedTest


class Report(NamedTuple):
    """Counts of the tests that passed, did not pass, and were skipped, without the canary.

    `canary_failed` is True if the canary test failed, as it must, and None if it is missing.
    `tests` has each test in the report, again without the canary.
    """

    passed: int
    failed: int
    skipped: int
    canary_failed: bool | None
    tests: tuple[ReportedTest, ...] = ()

    @property
    def total(self) -> int:
        """Tests that ran."""
        return self.passed + self.failed


def read_junit(data: bytes, canary: str) -> Report | None:
    """Count the test cases of a JUnit XML report; None if the report is incomplete or malformed.

    The reader builds no tree and refuses a DTD, so a report cannot grow in memory.
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
    counts = Counter(result for _, result in counter.tests)
    return Report(
        counts[PASSED],
        counts[FAILED],
        counts[SKIPPED],
        counter.canary_failed,
        (*counter.tests, *counter.suites),
    )


class _CaseCounter:
    def __init__(self, canary: str) -> None:
        self.tests: list[ReportedTest] = []
        self.suites: list[ReportedTest] = []
        """Suites with tests in them, which node's report makes of a test with subtests."""
        self._open_suites: list[tuple[str, int]] = []
        self.canary_failed: bool | None = None
        self._canary = canary
        self._depth = 0
        self._case_depth: int | None = None
        self._name = ""
        self._children: set[str] = set()

    def doctype(self, *_: object) -> None:
        raise ValueError("a test report has no DTD")

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if name == "testsuite":
            self._open_suites.append((attributes.get("name", ""), len(self.tests)))
        if name == "testcase":
            self._case_depth, self._name = self._depth, attributes.get("name", "")
            self._children = set()
        elif self._case_depth == self._depth - 1:
            self._children.add(name)

    def end(self, element: str) -> None:
        if element == "testsuite" and self._open_suites:
            name, begin = self._open_suites.pop()
            results = {result for _, result in self.tests[begin:]}
            worst = next((each for each in (FAILED, PASSED, SKIPPED) if each in results), None)
            if name and worst:
                self.suites.append((name, worst))
        if self._depth == self._case_depth:
            failed = bool(self._children & {"failure", "error"})
            if self._canary in self._name:
                self.canary_failed = failed
            else:
                unfailed = SKIPPED if "skipped" in self._children else PASSED
                self.tests.append((self._name, FAILED if failed else unfailed))
            self._case_depth = None
        self._depth -= 1


def read_gotest(data: bytes, canary: str) -> Report | None:
    """Count the tests of a `go test -json` event stream; None if an event is malformed.

    A test that never ended has failed, and a failure stands whatever follows it. A test with
    subtests is counted by them, and by itself only if it failed without them.
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
    canary_ends = [end for name, end in ends.items() if canary in name]
    canary_failed = all(end == "fail" for end in canary_ends) if canary_ends else None
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
    results = {"pass": PASSED, "skip": SKIPPED}
    tests = tuple((name, results.get(end, FAILED)) for name, end in ends.items())
    return Report(passed, len(counted) - passed - skipped, skipped, canary_failed, tests)


REPORT_READERS: Mapping[str, Callable[[bytes, str], Report | None]] = {
    "junit": read_junit,
    "gotest": read_gotest,
}
"""The value of `report` in runner.yaml, and the reader of that format."""
