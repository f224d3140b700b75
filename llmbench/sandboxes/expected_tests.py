"""The tests that must pass, as the runner of a language read them from the authors' files.

The runner writes them before it loads the answer, as the first line of the report: `expected` and a
JSON array. Whatever is written later cannot change that line.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llmbench.errors import SandboxError

PREFIX = b"expected "

PARAMETERS = ("[", "/")
"""Characters that separate a test's name from that of its case, in reports of pytest and Go."""
SUITES = " > "
"""The text between the names of suites and tests in reports of Vitest."""

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"

ReportedTest = tuple[str, str]
"""The name of a test in a report, and `PASSED`, `FAILED` or `SKIPPED`."""


@dataclass(frozen=True, slots=True)
class ExpectedTest:
    """A test that must pass at least `count` times, once for each of its cases.

    `may_skip` is True if its author marked it as one that may be skipped or may fail. `open_end` is
    True if `name` is only the known beginning of its name.
    """

    name: str
    count: int = 1
    may_skip: bool = False
    open_end: bool = False

    def matches(self, reported: str) -> bool:
        """Return True if this is the name of the test, or of a case of it, in a report."""
        reported = " ".join(reported.split())
        begins = reported.startswith(self.name) or f"{SUITES}{self.name}" in reported
        if self.open_end:
            return begins
        return (
            reported == self.name
            or reported.endswith(f"{SUITES}{self.name}")
            or reported.startswith(tuple(self.name + mark for mark in PARAMETERS))
        )


def split(report: bytes) -> tuple[list[ExpectedTest], bytes]:
    """Return the expected tests, and the report after them.

    A runner that reads none writes no such line.

    Raises:
        SandboxError: the line is malformed.
    """
    if not report.startswith(PREFIX):
        return [], report
    line, _, rest = report.partition(b"\n")
    try:
        entries = [_entry(*entry) for entry in json.loads(line.removeprefix(PREFIX))]
    except (ValueError, TypeError, RecursionError):
        raise SandboxError("the runner wrote an unreadable list of expected tests") from None
    return entries, rest


def _entry(name: object, count: object, may_skip: object, open_end: object) -> ExpectedTest:
    if not isinstance(name, str) or type(count) is not int:
        raise ValueError("no expected test")
    plain = re.sub(r"\s+", " ", name).lstrip()
    return ExpectedTest(
        plain if open_end else plain.rstrip(), count, bool(may_skip), bool(open_end)
    )


def count_missing(
    expected: Iterable[ExpectedTest], tests: Sequence[ReportedTest]
) -> dict[str, int]:
    """Return how many cases of each expected test did not run to their end, by its name.

    A test that was skipped counts only if its author allows that. Tests that passed or failed
    have ended.
    """
    missing = {}
    for test in expected:
        counted = [PASSED, FAILED, *([SKIPPED] if test.may_skip else [])]
        results = [result for name, result in tests if test.matches(name)]
        number = test.count - sum(result in counted for result in results)
        skipped = 0 if test.may_skip else results.count(SKIPPED)
        if max(number, skipped) > 0:
            missing[test.name] = max(number, skipped)
    return missing
