"""The terms of the page, each with its meaning."""

from collections.abc import Mapping, Sequence

from llmbench.records import Outcome
from llmbench.reports.columns import (
    ITEM_STATISTICS,
    REPAIR_STATISTICS,
    STABILITY_STATISTICS,
    STATISTICS,
    Statistic,
)
from llmbench.reports.html.board import GROUP, SETTINGS

GENERAL = {
    "attempt": "one run of one problem by one target",
    "run": "the number of an attempt among those at the same problem by the same target",
    "problem": "a task with tests; an attempt passes if all of them pass",
    "problems": "number of problems that a row is about",
    "target": "a model at a server, as provider/model",
    "tag": "a topic of a problem",
    "language": "programming language of a problem",
    "date": "date of a result, from the name of its file or folder",
    "median": "half of the values are below it",
    "percentile": "of the 5th percentile, for example, 5 % of the values are below it",
    "Pareto front": "the targets that no other beats: none is at least as good in both values and "
    "better in one",
}

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.PASSED: "all tests passed",
    Outcome.FAILED: "a test failed",
    Outcome.COMPILE_ERROR: "the code does not compile",
    Outcome.TIMEOUT: "the tests took too long",
    Outcome.OUT_OF_MEMORY: "the tests used more memory than allowed",
    Outcome.NO_CODE: "the answer holds no code",
    Outcome.TRUNCATED: "the answer was cut at the token limit, and does not pass",
    Outcome.PROVIDER_ERROR: "the server gave no answer; not scored",
    Outcome.SANDBOX_ERROR: "the sandbox failed; not scored",
}


def terms(headings: Sequence[str]) -> dict[str, str]:
    """Return the meaning of each general term, and of the others that are among `headings`."""
    used = set(headings)
    outcomes = {outcome.value: meaning for outcome, meaning in OUTCOMES.items()}
    others = {**meanings(), **outcomes}
    return GENERAL | {term: meaning for term, meaning in others.items() if term in used}


def meanings() -> dict[str, str]:
    """Return the meaning of each statistic by its title."""
    declared: Sequence[Statistic] = (
        GROUP,
        *STATISTICS,
        *STABILITY_STATISTICS,
        *ITEM_STATISTICS,
        *REPAIR_STATISTICS,
        *SETTINGS,
    )
    return {statistic.title: statistic.meaning for statistic in reversed(declared)}
