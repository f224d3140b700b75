"""Records for tests, with every field given."""

from dataclasses import replace
from typing import Any

from llmbench.attempt import make_row
from llmbench.records import (
    Attempt,
    Completion,
    Outcome,
    Problem,
    Row,
    Sampling,
    Target,
    Usage,
    Verdict,
)


def attempt(run: int = 1, problem_id: str = "add", model: str = "m") -> Attempt:
    """An attempt at a small problem."""
    problem = Problem(problem_id, "python", "Write add.", {"test_add.py": "assert True"})
    target = Target("lmstudio", model, "http://localhost:1234/v1", Sampling(4096, 0.2, 7))
    return Attempt(target, problem, run)


def row(**changes: Any) -> Row:
    """A passed row, with changes."""
    completion = Completion("text", "", "stop", Usage(10, 20, 0, 0), 0.001, 2.0, 0.5, 0.0, 1, "m-1")
    verdict = Verdict(Outcome.PASSED, 0, 3, 3, 0.4, 0.3, "3 passed")
    return replace(make_row(attempt(), completion, verdict, "fence"), **changes)
