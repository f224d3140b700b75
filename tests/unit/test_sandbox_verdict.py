import json

import pytest

from llmbench.records import Outcome
from llmbench.sandboxes.base import Execution
from llmbench.sandboxes.verdict import (
    NOT_BELIEVED,
    UNFINISHED,
    Report,
    judge,
    read_gotest,
    read_junit,
)

CANARY = "canary_7"
CAUGHT = (
    b"<testsuite><testcase name='x.canary_7'><failure/></testcase><testcase name='a'/></testsuite>"
)
FOOLED = b"<testsuite><testcase name='a'/><testcase name='canary_7'/></testsuite>"
ONE_PASSED = b"<testsuites><testsuite><testcase name='a'/></testsuite></testsuites>"
ONE_FAILED = b"<testsuite><testcase name='a'><failure/></testcase><testcase name='b'/></testsuite>"
ALL_SKIPPED = b"<testsuite><testcase name='a'><skipped/></testcase></testsuite>"
NO_TESTS = b"<testsuites/>"


def events(*pairs: tuple[str, str | None]) -> bytes:
    lines = [{"Action": action} | ({"Test": test} if test else {}) for action, test in pairs]
    return b"\n".join(json.dumps(line).encode() for line in lines)


@pytest.mark.parametrize(
    ("data", "report"),
    [
        (ONE_PASSED, Report(1, 0, 0, None)),
        (CAUGHT, Report(1, 0, 0, True)),
        (FOOLED, Report(1, 0, 0, False)),
        (ONE_FAILED, Report(1, 1, 0, None)),
        (ALL_SKIPPED, Report(0, 0, 1, None)),
        (NO_TESTS, Report(0, 0, 0, None)),
        (b"<t><testcase><error/></testcase></t>", Report(0, 1, 0, None)),
        (b"<t><testcase><system-out><failure/></system-out></testcase></t>", Report(1, 0, 0, None)),
        (b"<t><testcase><skipped/><failure/></testcase></t>", Report(0, 1, 0, None)),
    ],
)
def test_junit_cases_are_counted(data: bytes, report: Report) -> None:
    assert read_junit(data, CANARY) == report


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"passed",
        b"<testsuite><testcase name='a'/>",
        ONE_PASSED[:-5],
        ONE_PASSED + ONE_PASSED,
        b"\xff\xfe\x00<",
        b"<!DOCTYPE t [<!ENTITY a 'x'>]><t><testcase name='&a;'/></t>",
        "<!DOCTYPE t [<!ENTITY a 'x'>]><t><testcase name='&a;'/></t>".encode("utf-16"),
    ],
)
def test_what_is_not_a_whole_junit_report_is_none(data: bytes) -> None:
    assert read_junit(data, CANARY) is None


def test_a_deeply_nested_report_is_read_without_harm() -> None:
    depth = 100_000
    data = b"<a>" * depth + b"<testcase/>" + b"</a>" * depth
    assert read_junit(data, CANARY) == Report(1, 0, 0, None)


@pytest.mark.parametrize(
    ("data", "report"),
    [
        (
            events(("start", None), ("run", "A"), ("pass", "A"), ("pass", None)),
            Report(1, 0, 0, None),
        ),
        (events(("run", "A"), ("fail", "A"), ("run", "B"), ("pass", "B")), Report(1, 1, 0, None)),
        (events(("run", "A"), ("skip", "A")), Report(0, 0, 1, None)),
        (events(("run", "A"), ("output", "A")), Report(0, 1, 0, None)),
        (
            events(("run", "A"), ("run", "A/x"), ("pass", "A/x"), ("pass", "A")),
            Report(1, 0, 0, None),
        ),
        (
            events(("run", "A"), ("run", "A/x"), ("fail", "A/x"), ("fail", "A")),
            Report(0, 1, 0, None),
        ),
        (
            events(("run", "A"), ("run", "A/x"), ("pass", "A/x"), ("fail", "A")),
            Report(1, 1, 0, None),
        ),
        (events(("fail", "A"), ("pass", "A")), Report(0, 1, 0, None)),
        (events(("pass", "A"), ("fail", "X/canary_7"), ("fail", "X")), Report(1, 0, 0, True)),
        (events(("pass", "A"), ("run", "X/canary_7"), ("run", "X")), Report(1, 0, 0, False)),
        (b"", Report(0, 0, 0, None)),
    ],
)
def test_gotest_events_are_counted(data: bytes, report: Report) -> None:
    assert read_gotest(data, CANARY) == report


@pytest.mark.parametrize(
    "data", [b"PASS", b"[1]", b"{}", b'{"Action": "pa', b"\xff", b"[" * 100_000, b"7"]
)
def test_what_is_not_a_gotest_report_is_none(data: bytes) -> None:
    assert read_gotest(data, CANARY) is None


@pytest.mark.parametrize(
    ("exit_code", "report", "timed_out", "out_of_memory", "outcome"),
    [
        (0, CAUGHT, False, False, Outcome.PASSED),
        (0, CAUGHT, False, True, Outcome.PASSED),
        (0, CAUGHT, True, False, Outcome.TIMEOUT),
        (0, ONE_PASSED, False, False, Outcome.FAILED),
        (0, FOOLED, False, False, Outcome.FAILED),
        (0, b"", False, False, Outcome.FAILED),
        (0, NO_TESTS, False, False, Outcome.FAILED),
        (0, ALL_SKIPPED, False, False, Outcome.FAILED),
        (0, ONE_FAILED, False, False, Outcome.FAILED),
        (0, b"all tests passed", False, False, Outcome.FAILED),
        (1, CAUGHT, False, False, Outcome.FAILED),
        (1, ONE_FAILED, False, False, Outcome.FAILED),
        (3, b"", False, False, Outcome.COMPILE_ERROR),
        (3, CAUGHT, False, False, Outcome.COMPILE_ERROR),
        (1, b"", False, True, Outcome.OUT_OF_MEMORY),
        (3, b"", False, True, Outcome.OUT_OF_MEMORY),
        (None, b"", True, False, Outcome.TIMEOUT),
        (None, CAUGHT, True, False, Outcome.TIMEOUT),
        (None, b"", True, True, Outcome.OUT_OF_MEMORY),
        (None, b"", False, False, Outcome.FAILED),
        (137, b"", False, False, Outcome.FAILED),
    ],
)
def test_an_execution_is_judged_by_its_evidence(
    exit_code: int | None, report: bytes, timed_out: bool, out_of_memory: bool, outcome: Outcome
) -> None:
    execution = Execution(exit_code, timed_out, out_of_memory, report, "the log", CANARY, 1.5, 0.5)
    verdict = judge(execution, "junit")
    assert verdict.outcome is outcome
    assert verdict.exit_code == exit_code
    assert verdict.log.endswith("the log")
    assert (verdict.seconds, verdict.cpu_seconds) == (1.5, 0.5)


def test_the_words_of_a_log_decide_nothing() -> None:
    log = "MemoryError: out of memory, Timeout, SyntaxError, 1 passed"
    assert (
        judge(Execution(1, False, False, b"", log, CANARY, 1.0), "junit").outcome is Outcome.FAILED
    )


def test_counts_are_missing_without_a_report() -> None:
    verdict = judge(Execution(0, False, False, b"", "", CANARY, 1.0), "gotest")
    assert (verdict.tests_passed, verdict.tests_total) == (0, 0)
    verdict = judge(Execution(0, False, False, b"no", "", CANARY, 1.0), "gotest")
    assert (verdict.tests_passed, verdict.tests_total) == (None, None)


@pytest.mark.parametrize(("report", "note"), [(ONE_PASSED, UNFINISHED), (FOOLED, NOT_BELIEVED)])
def test_the_log_says_why_a_report_is_not_believed(report: bytes, note: str) -> None:
    verdict = judge(Execution(0, False, False, report, "printed", CANARY, 1.0), "junit")
    assert verdict.log == f"{note}\nprinted"
