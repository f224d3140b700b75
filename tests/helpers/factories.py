"""Records for tests, with a value in every field."""

from dataclasses import replace
from typing import Any

import polars as pl

from llmbench.attempt import make_row
from llmbench.completions import Completion, Usage
from llmbench.records import Attempt, Outcome, Problem, Row, Sampling, Target, Verdict
from llmbench.store import tables

Passes = dict[str, list[int]]  # 1 or 0 for each run of each problem


def attempt(run: int = 1, problem_id: str = "add", model: str = "m") -> Attempt:
    """An attempt at a small problem."""
    problem = Problem(problem_id, "python", "Write add.", {"test_add.py": "assert True"})
    target = Target("lmstudio", model, "http://localhost:1234/v1", Sampling(4096, 0.2, 7))
    return Attempt(target, problem, run)


def row(**changes: Any) -> Row:
    """A passed row with changes."""
    completion = Completion(
        "text", "", "stop", Usage(10, 20, 0, 0), 0.001, 2.0, 0.5, 0.0, 1, "m-1",
        chunks=20, stream_seconds=1.5, stream_tokens=19.0,
    )  # fmt: skip
    verdict = Verdict(Outcome.PASSED, 0, 3, 3, 0.4, 0.3, "3 passed")
    return replace(make_row(attempt(), completion, verdict, extraction="fence"), **changes)


def result(passes: Passes, **changes: Any) -> pl.DataFrame:
    """A result with a row for each run of each problem."""
    return tables.to_frame(
        row(
            **{"problem_sha256": f"hash of {problem}", **changes},
            problem_id=problem,
            run=run,
            score=100.0 * passed,
            passed=bool(passed),
            outcome="passed" if passed else "failed",
        )
        for problem, runs in passes.items()
        for run, passed in enumerate(runs, 1)
    )


def alike(**runs: list[int]) -> Passes:
    """Six problems that never change, and more."""
    return {f"same-{i}": [1, 0, 1] for i in range(6)} | runs
