import json

import pytest

from llmbench.sandboxes.report_formats import Report, read_gotest, read_junit

CANARY = "canary_7"
CANARY_FAILED = (
    b"<testsuite><testcase name='x.canary_7'><failure/></testcase><testcase name='a'/></testsuite>"
)
CANARY_PASSED = b"<testsuite><testcase name='a'/><testcase name='canary_7'/></testsuite>"
ONE_PASSED = b"<testsuites><testsuite><testcase name='a'/></testsuite></testsuites>"
ONE_FAILED = b"<testsuite><testcase name='a'><failure/></testcase><testcase name='b'/></testsuite>"
ALL_SKIPPED = b"<testsuite><testcase name='a'><skipped/></testcase></testsuite>"
NO_TESTS = b"<testsuites/>"


def counts(report: Report | None) -> Report | None:
    """A report without its tests."""
    return report and report._replace(tests=())


def events(*pairs: tuple[str, str | None]) -> bytes:
    lines = [{"Action": action} | ({"Test": test} if test else {}) for action, test in pairs]
    return b"\n".join(json.dumps(line).encode() for line in lines)


@pytest.mark.parametrize(
    ("data", "report"),
    [
        (ONE_PASSED, Report(1, 0, 0, None)),
        (CANARY_FAILED, Report(1, 0, 0, True)),
        (CANARY_PASSED, Report(1, 0, 0, False)),
        (ONE_FAILED, Report(1, 1, 0, None)),
        (ALL_SKIPPED, Report(0, 0, 1, None)),
        (NO_TESTS, Report(0, 0, 0, None)),
        (b"<t><testcase><error/></testcase></t>", Report(0, 1, 0, None)),
        (b"<t><testcase><system-out><failure/></system-out></testcase></t>", Report(1, 0, 0, None)),
        (b"<t><testcase><skipped/><failure/></testcase></t>", Report(0, 1, 0, None)),
    ],
)
def test_junit_cases_are_counted(data: bytes, report: Report) -> None:
    assert counts(read_junit(data, CANARY)) == report


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
def test_an_incomplete_or_malformed_junit_report_is_none(data: bytes) -> None:
    assert read_junit(data, CANARY) is None


def test_a_deeply_nested_junit_report_is_read() -> None:
    depth = 100_000
    data = b"<a>" * depth + b"<testcase/>" + b"</a>" * depth
    assert counts(read_junit(data, CANARY)) == Report(1, 0, 0, None)


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
        (
            events(("pass", "A"), ("fail", "X/canary_7"), ("pass", "X/canary_7/3"), ("fail", "X")),
            Report(1, 0, 0, False),
        ),
        (b"", Report(0, 0, 0, None)),
    ],
)
def test_gotest_events_are_counted(data: bytes, report: Report) -> None:
    assert counts(read_gotest(data, CANARY)) == report


@pytest.mark.parametrize(
    "data", [b"PASS", b"[1]", b"{}", b'{"Action": "pa', b"\xff", b"[" * 100_000, b"7"]
)
def test_a_malformed_gotest_report_is_none(data: bytes) -> None:
    assert read_gotest(data, CANARY) is None


def test_a_test_with_subtests_is_in_a_report_as_a_suite() -> None:
    data = b"<testsuites><testsuite name='p'><testcase name='c'/></testsuite></testsuites>"
    junit = read_junit(data, CANARY)
    assert junit is not None
    assert junit.passed == 1
    assert junit.tests == (("c", "passed"), ("p", "passed"))


def test_a_report_has_each_test_with_its_result() -> None:
    junit = read_junit(ONE_FAILED, CANARY)
    assert junit is not None
    assert junit.tests == (("a", "failed"), ("b", "passed"))
    gotest = read_gotest(events(("run", "A"), ("skip", "A"), ("run", "B")), CANARY)
    assert gotest is not None
    assert gotest.tests == (("A", "skipped"), ("B", "failed"))
