"""Runs whose answers a test writes itself: a journal, and the view of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.factories import row
from helpers.runs import RUNNERS
from llmbench.attempt import Prompter
from llmbench.completions import Completion
from llmbench.plan import Plan
from llmbench.records import Attempt, Row
from llmbench.runs.view import Change, RunView
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.journal_index import JournalIndex


class OpenRun:
    """A run under way: its journal, and the view of it."""

    def __init__(self, journal: Journal, plan: Plan) -> None:
        self.journal = journal
        self.prompter = Prompter(RUNNERS, plan.test_timeout)
        self.view = RunView(plan, self.prompter, JournalIndex(journal.path, pytest.fail))
        self.changes: list[Change] = []

    def write(self, attempt: Attempt, outcome: str | None, text: str = "text") -> Row | None:
        """Journal an answer and, with an outcome, its row."""
        hashes = self.prompter.fingerprint(attempt)
        entry = CompletionEntry(attempt.key, Completion(text), hashes.request_hash)
        self.view.add(self.journal.append(entry), entry)
        if outcome is None:
            return None
        score = {"passed": 100.0, "failed": 0.0}.get(outcome)
        result = row(
            target=attempt.target.label, problem_id=attempt.problem.id,
            run=attempt.run, round=attempt.round, outcome=outcome, score=score,
            passed=None if score is None else score == 100,
            problem_sha256=attempt.problem.sha256,
        )  # fmt: skip
        of_row = ResultEntry(result, hashes.result_hash)
        self.view.add(self.journal.append(of_row), of_row)
        return result


@contextmanager
def open_run(folder: Path, plan: Plan) -> Iterator[OpenRun]:
    """Open a new run, or the one that is in the folder."""
    with Journal(folder) as journal:
        opened = OpenRun(journal, plan)
        opened.view.resume(opened.changes.append)
        yield opened
