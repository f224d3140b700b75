import pytest

from llmbench.records import Outcome
from llmbench.sandboxes.verdict import MISSING, NOT_BELIEVED, UNFINISHED, Execution, judge

CANARY = "canary_7"
CANARY_FAILED = (
    b"<testsuite><testcase name='x.canary_7'><failure/></testcase><testcase name='a'/></testsuite>"
)
CANARY_PASSED = b"<testsuite><testcase name='a'/><testcase name='canary_7'/></testsuite>"
ONE_PASSED = b"<testsuites><testsuite><testcase name='a'/></testsuite></testsuites>"
ONE_FAILED = b"<testsuite><testcase name='a'><failure/></testcase><testcase name='b'/></testsuite>"
ALL_SKIPPED = b"<testsuite><testcase name='a'><skipped/></testcase></testsuite>"
NO_TESTS = b"<testsuites/>"


@pytest.mark.parametrize(
    ("exit_code", "report", "timed_out", "out_of_memory", "outcome"),
    [
        (0, CANARY_FAILED, False, False, Outcome.PASSED),
        (0, CANARY_FAILED, False, True, Outcome.PASSED),
        (0, CANARY_FAILED, True, False, Outcome.TIMEOUT),
        (0, ONE_PASSED, False, False, Outcome.FAILED),
        (0, CANARY_PASSED, False, False, Outcome.FAILED),
        (0, b"", False, False, Outcome.FAILED),
        (0, NO_TESTS, False, False, Outcome.FAILED),
        (0, ALL_SKIPPED, False, False, Outcome.FAILED),
        (0, ONE_FAILED, False, False, Outcome.FAILED),
        (0, b"all tests passed", False, False, Outcome.FAILED),
        (1, CANARY_FAILED, False, False, Outcome.FAILED),
        (1, ONE_FAILED, False, False, Outcome.FAILED),
        (3, b"", False, False, Outcome.COMPILE_ERROR),
        (3, CANARY_FAILED, False, False, Outcome.COMPILE_ERROR),
        (1, b"", False, True, Outcome.OUT_OF_MEMORY),
        (3, b"", False, True, Outcome.OUT_OF_MEMORY),
        (None, b"", True, False, Outcome.TIMEOUT),
        (None, CANARY_FAILED, True, False, Outcome.TIMEOUT),
        (None, b"", True, True, Outcome.OUT_OF_MEMORY),
        (None, b"", False, False, Outcome.FAILED),
        (137, b"", False, False, Outcome.FAILED),
    ],
)
def test_the_outcome_follows_the_evidence(
    exit_code: int | None, report: bytes, timed_out: bool, out_of_memory: bool, outcome: Outcome
) -> None:
    execution = Execution(exit_code, timed_out, out_of_memory, report, "the log", CANARY, 1.5, 0.5)
    verdict = judge(execution, "junit")
    assert verdict.outcome is outcome
    assert verdict.exit_code == exit_code
    assert verdict.log.endswith("the log")
    assert (verdict.seconds, verdict.cpu_seconds) == (1.5, 0.5)


def test_the_text_of_a_log_decides_nothing() -> None:
    log = "MemoryError: out of memory, Timeout, SyntaxError, 1 passed"
    assert (
        judge(Execution(1, False, False, b"", log, CANARY, 1.0), "junit").outcome is Outcome.FAILED
    )


def test_test_counts_are_none_without_a_report() -> None:
    verdict = judge(Execution(0, False, False, b"", "", CANARY, 1.0), "gotest")
    assert (verdict.tests_passed, verdict.tests_total) == (0, 0)
    verdict = judge(Execution(0, False, False, b"no", "", CANARY, 1.0), "gotest")
    assert (verdict.tests_passed, verdict.tests_total) == (None, None)


@pytest.mark.parametrize(
    ("report", "note"), [(ONE_PASSED, UNFINISHED), (CANARY_PASSED, NOT_BELIEVED)]
)
def test_the_log_explains_a_rejected_report(report: bytes, note: str) -> None:
    verdict = judge(Execution(0, False, False, report, "printed", CANARY, 1.0), "junit")
    assert verdict.log == f"{note}\nprinted"


@pytest.mark.parametrize(
    ("expected", "missing"),
    [
        ('[["a", 1, false, false]]', ""),
        ('[["a", 1, false, false], ["b", 1, false, false]]', "b"),
        ('[["a", 2, false, false]]', "a"),
        ("[]", ""),
    ],
)
def test_a_test_that_was_expected_and_is_not_in_the_report_is_no_pass(
    expected: str, missing: str
) -> None:
    report = f"expected {expected}\n".encode() + CANARY_FAILED
    verdict = judge(Execution(0, False, False, report, "printed", CANARY, 1.0), "junit")
    assert verdict.outcome is (Outcome.FAILED if missing else Outcome.PASSED)
    assert verdict.log == (f"{MISSING.format(missing)}\nprinted" if missing else "printed")
    assert (verdict.tests_passed, verdict.tests_total) == (1, 2 if missing else 1)
