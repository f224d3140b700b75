"""No test framework has a limit by the clock of its own: only processor time judges."""

import pytest
from helpers.sandboxes import opened

from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Problem
from llmbench.runners import load_runners

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap, pytest.mark.fixed_verdict]

RUNNERS = load_runners(bundled_dir("runners"))
SECONDS = 6
"""Longer than the limit that Vitest has of its own, 5 s."""

TYPESCRIPT = "export const wait = () => new Promise((done) => setTimeout(done, 6000));\n"
VITEST = (
    'import { beforeAll, expect, test } from "vitest";\nimport { wait } from "./solution.ts";\n'
    'test("waits", async () => { await wait(); expect(1).toBe(1); });\n'
)
NODE = (
    'import { test } from "node:test";\nimport { wait } from "./solution.ts";\n'
    'test("waits", async () => { await wait(); });\n'
)
ASYNC = "from solution import wait\n\nasync def test_waits():\n    await wait()\n"
GO = 'package solution\n\nimport "testing"\n\nfunc TestWait(t *testing.T) { Wait() }\n'
CASES = {
    "vitest": ("typescript", TYPESCRIPT, {"solution.test.ts": VITEST}),
    "node:test": ("typescript", TYPESCRIPT, {"solution.test.ts": NODE}),
    "pytest": (
        "python",
        f"import asyncio\n\nasync def wait():\n    await asyncio.sleep({SECONDS})\n",
        {"test_solution.py": ASYNC},
    ),
    "go test": (
        "go",
        'package solution\n\nimport "time"\n\n'
        f"func Wait() {{ time.Sleep({SECONDS} * time.Second) }}\n",
        {"solution_test.go": GO},
    ),
}


@pytest.mark.parametrize(("lang", "code", "tests"), CASES.values(), ids=CASES)
async def test_an_answer_that_waits_for_six_seconds_passes(
    lang: str, code: str, tests: dict[str, str]
) -> None:
    problem = Problem("waits", lang, "-", tests)
    submission = RUNNERS[lang].submission(
        AttemptKey("waits", "waits", 1), problem, code, timeout=60.0, cpu_seconds=20.0
    )
    async with opened("bubblewrap", RUNNERS) as sandbox:
        verdict = await sandbox.run(submission)
    assert verdict.outcome == "passed", verdict.log
    assert (verdict.seconds or 0.0) >= SECONDS
