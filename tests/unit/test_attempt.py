"""One attempt: its outcome, its row and its files."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers.factories import attempt
from helpers.runs import assembled, drive

from llmbench.completions import Completion
from llmbench.errors import (
    AttemptError,
    CancelledBeforeSendError,
    ModelError,
    SandboxError,
    TargetError,
    TransientError,
)
from llmbench.events import AttemptFinished, BudgetExhausted, Event, TargetStopped
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import Message, Outcome, Row, Submission, Target, Verdict
from llmbench.runs.finish import refused_params
from llmbench.runs.run import Run
from llmbench.store import journal
from llmbench.store.journal import Journal
from llmbench.store.journal_index import JournalIndex
from llmbench.store.run_dir import RunDirectory

pytestmark = pytest.mark.anyio

CODE = "```python\ndef add(a, b):\n    return a + b\n```\n"


@dataclass
class ScriptedModel:
    """A model that gives each run its own answer or error."""

    target: Target
    script: Sequence[Completion | ModelError]
    requests: Counter[int] = field(default_factory=Counter)
    unsupported_params: Mapping[str, str | None] = field(default_factory=dict)
    limit_notes: Iterable[str] = ()
    drained: int = 0

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        self.requests[run] += 1
        async with slot:
            reply = self.script[(run - 1) % len(self.script)]
        if isinstance(reply, ModelError):
            raise reply
        return reply

    def drain(self) -> int:
        self.drained += 1
        return 0


@dataclass
class ScriptedSandbox:
    """A sandbox that gives every submission the same verdict or error."""

    verdict: Verdict | SandboxError
    name: str = "scripted"
    refusal: SandboxError | None = None
    submissions: list[Submission] = field(default_factory=list)

    async def run(self, submission: Submission) -> Verdict:
        self.submissions.append(submission)
        if isinstance(self.verdict, SandboxError):
            raise self.verdict
        return self.verdict

    def check_options(self, lang: str, options: Mapping[str, str]) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def versions(self) -> dict[str, str]:
        return {}

    async def aclose(self) -> None: ...


PASSED = Verdict(Outcome.PASSED, 0, 3, 3, 0.4, 0.3, "3 passed")
FAILED = Verdict(Outcome.FAILED, 1, 0, 3, 0.4, 0.3, "x" * 5000)


@dataclass
class Result:
    rows: list[Row]
    events: list[Event]
    model: ScriptedModel
    sandbox: ScriptedSandbox
    run: Run


async def run(
    tmp_path: Path,
    script: Sequence[Completion | ModelError],
    verdict: Verdict | SandboxError = PASSED,
    runs: int | None = None,
    max_cost: float | None = None,
    refusal: SandboxError | None = None,
) -> Result:
    first = attempt()
    endpoint = EndpointPlan((first.target,), 1, local=True)
    plan = Plan((endpoint,), (first.problem,), runs or len(script), 1, 9.0, max_cost)
    model = ScriptedModel(first.target, script)
    sandbox = ScriptedSandbox(verdict, refusal=refusal)
    events: list[Event] = []
    directory = RunDirectory(tmp_path)
    with Journal(directory.path) as written:
        run_ = assembled(
            plan, {first.target.label: model}, sandbox, written, directory, events.append
        )
        await drive(run_)
    rows = list(journal.rows(written.path, pytest.fail))
    assert rows == [event.row for event in events if isinstance(event, AttemptFinished)]
    return Result(rows, events, model, sandbox, run_)


async def test_a_right_answer_scores_100_and_its_files_are_written(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion(CODE, "Hm.", "stop")])
    (row,) = result.rows
    assert (row.outcome, row.score, row.passed, row.exit_code) == ("passed", 100.0, True, 0)
    assert (row.extraction, row.tests_passed, row.sandbox) == ("fence", 3, "scripted")
    files = {p.name: p.read_text() for p in result.run.directory.path.rglob("1/*")}
    assert files == {
        "answer.md": CODE,
        "reasoning.md": "Hm.",
        "solution.py": "def add(a, b):\n    return a + b\n",
        "log.txt": "3 passed",
    }


async def test_a_problem_that_the_sandbox_cannot_judge_is_not_asked(tmp_path: Path) -> None:
    refusal = SandboxError("race: on cannot be judged here: no gcc", hint="install gcc")
    result = await run(tmp_path, [Completion(CODE)], refusal=refusal)
    (row,) = result.rows
    assert (row.outcome, row.score, row.requests) == ("sandbox_error", None, None)
    assert row.log_head == "race: on cannot be judged here: no gcc: install gcc"
    assert not result.model.requests
    assert not result.sandbox.submissions


async def test_the_submission_holds_the_code_and_the_tests(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion(CODE)])
    (submission,) = result.sandbox.submissions
    assert submission.files["solution.py"].startswith("def add")
    assert submission.files["test_add.py"] == "assert True"
    assert (submission.cpu_seconds, submission.timeout) == (9.0, 27.0)


async def test_the_log_says_that_other_blocks_were_left_out(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion(f"{CODE}\n```python\nprint(add(1, 2))\n```\n")])
    log = "(the answer has other blocks of code: 1; one block is tested)\n3 passed"
    assert result.rows[0].log_head == log
    assert "print" not in result.sandbox.submissions[0].files["solution.py"]


async def test_the_log_of_a_row_is_cut_at_2000_characters(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion(CODE)], FAILED)
    assert result.rows[0].log_head == "x" * 2000
    assert result.rows[0].score == 0


async def test_an_answer_without_code_is_no_code_and_needs_no_sandbox(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion("I cannot.", "", "stop")])
    (row,) = result.rows
    assert (row.outcome, row.score, row.extraction, row.sandbox) == ("no_code", 0, "none", None)
    assert not result.sandbox.submissions


@pytest.mark.parametrize(
    ("text", "verdict", "outcome"),
    [
        (CODE, FAILED, "truncated"),
        ("I think that", FAILED, "truncated"),
        (CODE, PASSED, "passed"),
        (CODE, SandboxError("engine gone"), "sandbox_error"),
    ],
)
async def test_an_answer_cut_at_the_limit_is_truncated_unless_it_passes(
    tmp_path: Path, text: str, verdict: Verdict | SandboxError, outcome: str
) -> None:
    result = await run(tmp_path, [Completion(text, "", "length")], verdict)
    assert result.rows[0].outcome == outcome


@pytest.mark.parametrize("error", [TransientError("busy"), AttemptError("too long")])
async def test_an_error_of_the_provider_is_not_scored(tmp_path: Path, error: ModelError) -> None:
    result = await run(tmp_path, [error, Completion(CODE)])
    first, second = result.rows
    assert (first.outcome, first.score, first.passed) == ("provider_error", None, None)
    assert (first.log_head, first.llm_seconds, first.requests) == (str(error), None, None)
    assert second.outcome == "passed"


async def test_an_error_of_the_sandbox_is_not_scored(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion(CODE)], SandboxError("engine gone"))
    assert (result.rows[0].outcome, result.rows[0].score) == ("sandbox_error", None)


async def test_a_target_error_stops_the_target_and_later_attempts_are_skipped(
    tmp_path: Path,
) -> None:
    script: list[Completion | ModelError] = [
        Completion(CODE),
        TargetError("no credit: top up"),
        Completion(CODE),
    ]
    result = await run(tmp_path, script, runs=9)
    assert [row.outcome for row in result.rows] == ["passed", "provider_error"]
    assert result.run.pipeline.skipped == 7
    assert set(result.model.requests) == {1, 2}
    stops = [event for event in result.events if isinstance(event, TargetStopped)]
    assert stops == [TargetStopped("lmstudio/m", "no credit: top up")]
    assert result.model.drained == 1


async def test_an_attempt_cancelled_before_its_request_is_skipped_without_a_row(
    tmp_path: Path,
) -> None:
    result = await run(
        tmp_path,
        [Completion(CODE), CancelledBeforeSendError("the run sends no more requests")],
        runs=4,
    )
    assert [row.run for row in result.rows] == [1, 3]
    assert (result.run.pipeline.skipped, result.run.pipeline.infrastructure_errors) == (2, 0)


async def test_no_request_is_sent_once_the_budget_is_spent(tmp_path: Path) -> None:
    script = [Completion(CODE, cost_usd=0.25)]
    result = await run(tmp_path, script, runs=9, max_cost=0.5)
    assert [row.outcome for row in result.rows] == ["passed", "passed"]
    assert (result.run.pipeline.skipped, set(result.model.requests)) == (7, {1, 2})
    events = [event for event in result.events if isinstance(event, BudgetExhausted)]
    assert events == [BudgetExhausted(0.5, 0.5)]
    assert result.model.drained == 1


async def test_failed_requests_are_counted_and_their_cost_spends_the_budget(
    tmp_path: Path,
) -> None:
    error = TransientError("broke")
    error.requests, error.cost_usd = 3, 0.375
    result = await run(tmp_path, [error, Completion(CODE, cost_usd=0.25)], runs=9, max_cost=0.5)
    costs = [(row.outcome, row.requests, row.cost_usd) for row in result.rows]
    assert costs == [("provider_error", 3, 0.375), ("passed", 1, 0.25)]
    assert result.run.pipeline.skipped == 7
    # A resumed run counts the cost of both.
    assert (
        JournalIndex(result.run.directory.path / journal.NAME, pytest.fail).cost_usd
        == result.run.pipeline.cost_usd
        == 0.625
    )


async def test_the_seed_of_a_row_is_that_of_its_run(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion(CODE)], runs=3)
    assert [row.seed for row in result.rows] == [7, 8, 9]


async def test_a_parameter_that_was_not_sent_is_null_in_its_row(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion(CODE, unsupported_params=("seed", "temperature"))])
    (row,) = result.rows
    assert (row.max_tokens, row.temperature, row.seed) == (4096, None, None)


@pytest.mark.parametrize(
    ("completion", "outcome", "extraction", "log"),
    [
        (
            Completion("", "Hm. " + CODE),
            "no_code",
            "only_reasoning",
            "its text as reasoning",
        ),
        (Completion(" \n", "Hm."), "no_code", "only_reasoning", "choose the reasoning parser"),
        (Completion("", "Hm.", "length"), "truncated", "only_reasoning", "text as reasoning"),
        (Completion("No.", "Hm."), "no_code", "none", "the answer holds no code"),
        (Completion(""), "no_code", "none", "the answer holds no code"),
        (Completion(CODE, "Hm."), "passed", "fence", ""),
    ],
)
async def test_an_answer_whose_whole_text_is_reasoning_is_marked(
    tmp_path: Path, completion: Completion, outcome: str, extraction: str, log: str
) -> None:
    (row,) = (await run(tmp_path, [completion])).rows
    assert (row.outcome, row.extraction) == (outcome, extraction)
    assert log in row.log_head
    assert ("reasoning" in row.log_head) == (extraction == "only_reasoning")


async def test_a_completion_is_journaled_before_it_is_graded(tmp_path: Path) -> None:
    result = await run(tmp_path, [Completion(CODE)])
    kinds = [
        type(entry).__name__
        for entry in journal.read(result.run.directory.path / journal.NAME, pytest.fail)
    ]
    assert kinds == ["CompletionEntry", "ResultEntry"]


def test_parameters_that_a_server_refused_are_reported() -> None:
    refused: Mapping[str, str | None] = {"temperature": None, "max_tokens": "max_completion_tokens"}
    model = ScriptedModel(attempt().target, [], unsupported_params=refused)
    assert list(refused_params({"lmstudio/m": model})) == [
        "lmstudio/m: the server refuses temperature, which is not sent",
        "lmstudio/m: the server refuses max_tokens, which is sent as max_completion_tokens",
    ]
