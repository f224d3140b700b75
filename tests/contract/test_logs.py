"""The head of a log has what an author, and a model that repairs its answer, want to know."""

from collections.abc import Callable

import pytest
from helpers.sandboxes import RUNNERS, opened

from llmbench.records import LOG_HEAD_CHARS, AttemptKey, Outcome, Problem

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap, pytest.mark.fixed_verdict]

PASSING = 30
REASON = "double of two is wrong"


def passing_tests(text: Callable[[int], str]) -> str:
    """Return the text of each test that passes, with long names as problems have them."""
    return "".join(map(text, range(PASSING)))


PYTHON = (
    "from solution import double\n"
    + passing_tests(
        lambda n: f"def test_that_a_number_is_doubled_{n}():\n    assert double(1) == 1\n"
    )
    + f"def test_last():\n    assert double(2) == 4, {REASON!r}\n"
)
GO = (
    'package solution\nimport "testing"\n'
    + passing_tests(
        lambda n: (
            f"func TestThatANumberIsDoubled{n}(t *testing.T) "
            "{ if Double(1) != 1 { t.Fatal() } }\n"
        )
    )
    + f'func TestLast(t *testing.T) {{ if Double(2) != 4 {{ t.Fatal("{REASON}") }} }}\n'
)
NODE = (
    'import test from "node:test";\nimport assert from "node:assert";\n'
    'import { double } from "./solution.js";\n'
    + passing_tests(
        lambda n: f'test("a number is doubled {n}", () => assert.equal(double(1), 1));\n'
    )
    + f'test("last", () => assert.equal(double(2), 4, "{REASON}"));\n'
)
VITEST = (
    'import { expect, test } from "vitest";\nimport { double } from "./solution.js";\n'
    + passing_tests(
        lambda n: f'test("a number is doubled {n}", () => expect(double(1)).toBe(1));\n'
    )
    + f'test("last", () => expect(double(2), "{REASON}").toBe(4));\n'
)

TYPESCRIPT = "export const double = (x: number): number => x;\n"
CASES = {
    "python": ("python", "test_solution.py", PYTHON, "def double(x):\n    return x\n"),
    "go": (
        "go",
        "solution_test.go",
        GO,
        "package solution\nfunc Double(x int) int { return x }\n",
    ),
    "node": ("typescript", "solution.test.ts", NODE, TYPESCRIPT),
    "vitest": ("typescript", "solution.test.ts", VITEST, TYPESCRIPT),
}


@pytest.mark.parametrize(("lang", "file", "tests", "answer"), CASES.values(), ids=CASES)
async def test_the_reason_of_a_failure_is_in_the_head_of_the_log_after_many_tests_that_pass(
    lang: str, file: str, tests: str, answer: str
) -> None:
    problem = Problem("head", lang, "-", {file: tests})
    submission = RUNNERS[lang].submission(AttemptKey("log", "head", 1), problem, answer, 40.0)
    async with opened("bubblewrap", RUNNERS) as sandbox:
        verdict = await sandbox.run(submission)
    assert verdict.outcome is Outcome.FAILED, verdict.log
    assert (verdict.tests_passed, verdict.tests_total) == (PASSING, PASSING + 1)
    assert REASON in verdict.log[:LOG_HEAD_CHARS]
