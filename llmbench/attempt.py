"""One attempt, from problem to row: ask the model, grade the answer."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from llmbench import fingerprint, prompts
from llmbench.completions import Completion
from llmbench.errors import CancelledBeforeSendError, ModelError, SandboxError, TargetError
from llmbench.events import (
    AttemptFinished,
    BudgetExhausted,
    CompletionReceived,
    Listener,
    RequestStarted,
    TargetStopped,
)
from llmbench.extraction import reasoning_marks
from llmbench.fingerprint import Fingerprint
from llmbench.models.base import Model
from llmbench.models.hosting import Hosting
from llmbench.plan import Plan
from llmbench.records import LOG_HEAD_CHARS, ONLY_REASONING, Attempt, Message, Outcome, Row, Verdict
from llmbench.runners import Runner
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.time_limits import TimeLimits
from llmbench.served import UNDESCRIBED
from llmbench.store.journal import CompletionEntry, Entry, ResultEntry
from llmbench.store.run_dir import RunDirectory

PASSED_OR_UNGRADED = (Outcome.PASSED, Outcome.SANDBOX_ERROR)
"""Outcomes that an answer keeps although it was cut at the token limit."""

ONLY_REASONING_LOG = (
    "the answer holds no code: the server sent all of its text as reasoning, none as the answer. "
    "If reasoning.md holds the answer, choose the reasoning parser of this model at the server"
)
LEFT_OUT = "(the answer has other blocks of code: {}; one block is tested)\n"
"""The first line of the log of such an answer."""


@dataclass(frozen=True, slots=True)
class Prompter:
    """The messages of each attempt and their hashes, from the languages of a run.

    `test_timeout` is the longest test run in seconds; it is part of what decides a result.
    """

    runners: Mapping[str, Runner]
    test_timeout: float

    def messages(self, attempt: Attempt) -> tuple[Message, ...]:
        """Return all messages of an attempt, those of its earlier rounds included."""
        instructions = self.runners[attempt.problem.lang].config.instructions
        system = attempt.target.sampling.system
        return prompts.messages(attempt.problem, instructions, system) + attempt.followups

    def fingerprint(self, attempt: Attempt) -> Fingerprint:
        """Return the hashes of the request and of everything that decides the result."""
        request = fingerprint.request_hash(attempt, self.messages(attempt))
        return Fingerprint(request, self.result_hash(attempt, request))

    def result_hash(self, attempt: Attempt, request_hash: str) -> str:
        """Return the hash of everything that decides the result of an attempt."""
        return fingerprint.result_hash(attempt, request_hash, self.test_timeout)


@dataclass(frozen=True, slots=True)
class AnsweredAttempt:
    """An attempt with its completion, ready to be graded."""

    attempt: Attempt
    completion: Completion
    request_hash: str


@dataclass
class AttemptPipeline:
    """The two stages that every attempt of a run passes: `ask` and `grade`.

    `record` writes an entry into the journal. `find_completion` returns an answer that was paid
    for earlier, or None. `hosting` describes the models. `cost_usd` is the cost of the run so far.
    The counters and `stopped_targets` tell what remained undone.
    """

    plan: Plan
    models: Mapping[str, Model]
    prompter: Prompter
    sandbox: Sandbox
    directory: RunDirectory
    emit: Listener
    record: Callable[[Entry], None]
    find_completion: Callable[[Attempt, str], Completion | None]
    hosting: Hosting = field(default_factory=Hosting)
    cost_usd: float = 0.0
    skipped: int = 0
    infrastructure_errors: int = 0
    stopped_targets: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        runners, timeout = self.prompter.runners, self.plan.test_timeout
        self._time_limits = TimeLimits(self.sandbox, runners, timeout)

    @property
    def budget_exhausted(self) -> bool:
        """True when the answers so far cost what the plan allows."""
        return self.plan.max_cost is not None and self.cost_usd >= self.plan.max_cost

    def drain(self) -> int:
        """Cancel all requests that wait to be sent, now and later; returns their number."""
        return sum(model.drain() for model in self.models.values())

    async def ask(
        self, attempt: Attempt, slot: AbstractAsyncContextManager[object]
    ) -> AnsweredAttempt | None:
        """Ask the model; returns None when there is nothing to grade.

        A model error ends the attempt in its row. A `TargetError` also stops the target: its
        remaining attempts are counted as skipped and get no row. An answer that the sandbox could
        not grade is not asked for.
        """
        label = attempt.target.label
        messages = self.prompter.messages(attempt)
        request_hash = fingerprint.request_hash(attempt, messages)
        earlier = self.find_completion(attempt, request_hash)
        if earlier is not None:
            self.emit(CompletionReceived(attempt.key, earlier))
            return AnsweredAttempt(attempt, earlier, request_hash)
        if label in self.stopped_targets or self.budget_exhausted:
            self.skipped += 1
            return None
        if not self._can_grade(attempt, request_hash):
            return None
        self.emit(RequestStarted(attempt.key))
        try:
            completion = attempt.known_completion or await self._complete(attempt, messages, slot)
        except CancelledBeforeSendError:
            self.skipped += 1
            return None
        except ModelError as error:
            self._finish_unanswered(attempt, request_hash, error)
            return None
        self.record(CompletionEntry(attempt.key, completion, request_hash))
        self.emit(CompletionReceived(attempt.key, completion))
        self._add_cost(completion.cost_usd)
        return AnsweredAttempt(attempt, completion, request_hash)

    async def _complete(
        self,
        attempt: Attempt,
        messages: Sequence[Message],
        slot: AbstractAsyncContextManager[object],
    ) -> Completion:
        """Return the model's answer, with the description of the model by its server."""
        target = attempt.target
        await self.hosting.prepare(target)
        completion = await self.models[target.label].complete(messages, run=attempt.run, slot=slot)
        await self.hosting.observe(target)
        return replace(completion, served=self.hosting.served(target))

    def _can_grade(self, attempt: Attempt, request_hash: str) -> bool:
        """Return True if the sandbox can judge the problem; else the attempt ends in its row."""
        problem = attempt.problem
        try:
            self.sandbox.check_options(problem.lang, problem.options)
        except SandboxError as error:
            verdict = Verdict(Outcome.SANDBOX_ERROR, log=str(error))
            self._finish(attempt, request_hash, self._row(attempt, None, verdict))
            return False
        return True

    async def grade(self, answered: AnsweredAttempt) -> Attempt | None:
        """Extract the code, run the tests and finish the attempt in its row.

        Returns the attempt that asks for a repair, or None if no repair is due.
        """
        attempt, completion = answered.attempt, answered.completion
        runner = self.prompter.runners[attempt.problem.lang]
        extracted = runner.extract(attempt.problem, completion.text)
        files = _texts(attempt, completion)
        method = str(extracted.method)
        if extracted.code is None and completion.reasoning.strip() and not completion.text.strip():
            method = ONLY_REASONING
            verdict = Verdict(Outcome.NO_CODE, log=ONLY_REASONING_LOG)
        elif extracted.code is None:
            verdict = Verdict(Outcome.NO_CODE, log="the answer holds no code")
        else:
            files[runner.config.solution] = extracted.code
            verdict = await self._run_tests(attempt, runner, extracted.code)
            if extracted.left_out:
                verdict = replace(verdict, log=LEFT_OUT.format(extracted.left_out) + verdict.log)
            files["log.txt"] = verdict.log
        if completion.truncated and verdict.outcome not in PASSED_OR_UNGRADED:
            verdict = replace(verdict, outcome=Outcome.TRUNCATED)
        self.directory.keep(attempt, files)
        row = self._row(attempt, completion, verdict, method)
        self._finish(attempt, answered.request_hash, row)
        if row.passed is not False or attempt.round > self.plan.max_repairs:
            return None
        return prompts.repair_attempt(attempt, completion.text, row)

    async def _run_tests(self, attempt: Attempt, runner: Runner, code: str) -> Verdict:
        try:
            limit = await self._time_limits.of(attempt.problem)
            submission = runner.submission(
                attempt.key, attempt.problem, code, limit.timeout, limit.cpu_seconds
            )
            return await self.sandbox.run(submission)
        except SandboxError as error:
            return Verdict(Outcome.SANDBOX_ERROR, log=str(error))

    def _row(
        self,
        attempt: Attempt,
        completion: Completion | None,
        verdict: Verdict,
        extraction_method: str | None = None,
    ) -> Row:
        return make_row(
            attempt,
            completion,
            verdict,
            extraction=extraction_method,
            sandbox=self.sandbox.name if verdict.seconds is not None else None,
            replayed=self.plan.is_replayed(attempt.target.label),
        )

    def _finish_unanswered(self, attempt: Attempt, request_hash: str, error: ModelError) -> None:
        label = attempt.target.label
        if isinstance(error, TargetError) and label not in self.stopped_targets:
            self.stopped_targets.add(label)
            self.models[label].drain()
            self.emit(TargetStopped(label, error.reason))
        verdict = Verdict(Outcome.PROVIDER_ERROR, log=str(error))
        unanswered = Completion("", has_timings=False, served=self.hosting.served(attempt.target))
        row = self._row(attempt, unanswered, verdict)
        row = replace(row, requests=error.requests or None, cost_usd=error.cost_usd)
        self._finish(attempt, request_hash, row)
        self._add_cost(error.cost_usd)

    def _finish(self, attempt: Attempt, request_hash: str, row: Row) -> None:
        self.infrastructure_errors += Outcome(row.outcome).is_infrastructure
        self.record(ResultEntry(row, self.prompter.result_hash(attempt, request_hash)))
        self.emit(AttemptFinished(row))

    def _add_cost(self, cost_usd: float | None) -> None:
        exhausted_before = self.budget_exhausted
        self.cost_usd += cost_usd or 0.0
        if self.budget_exhausted and not exhausted_before:
            assert self.plan.max_cost is not None
            self.drain()
            self.emit(BudgetExhausted(self.cost_usd, self.plan.max_cost))


def _texts(attempt: Attempt, completion: Completion) -> dict[str, str]:
    """Return the texts of an answer by the names of their files."""
    files = {"answer.md": completion.text}
    if attempt.followups:
        files["question.md"] = attempt.followups[-1].content
    if completion.reasoning:
        files["reasoning.md"] = completion.reasoning
    return files


def make_row(
    attempt: Attempt,
    completion: Completion | None,
    verdict: Verdict,
    *,
    extraction: str | None = None,
    sandbox: str | None = None,
    replayed: bool = False,
) -> Row:
    """Return everything about an attempt as a row."""
    target, problem = attempt.target, attempt.problem
    score = verdict.outcome.score
    return Row(
        problem_id=problem.id,
        lang=problem.lang,
        run=attempt.run,
        round=attempt.round,
        score=score,
        passed=None if score is None else score == 100,
        exit_code=verdict.exit_code,
        log_head=verdict.log[:LOG_HEAD_CHARS],
        outcome=verdict.outcome.value,
        provider=target.provider,
        model=target.model,
        target=target.label,
        extraction=extraction,
        tests_passed=verdict.tests_passed,
        tests_total=verdict.tests_total,
        test_seconds=verdict.seconds,
        test_cpu_seconds=verdict.cpu_seconds,
        replayed=replayed,
        sandbox=sandbox,
        difficulty=problem.difficulty,
        tags=",".join(problem.tags),
        problem_sha256=problem.sha256,
        **_sampling_columns(attempt, completion),
        **_completion_columns(completion or Completion("", has_timings=False)),
    )


def _sampling_columns(attempt: Attempt, completion: Completion | None) -> dict[str, Any]:
    """Return the sampling parameters that were sent; those that a server refused are None."""
    sampling = attempt.target.sampling
    seed = None if sampling.seed is None else sampling.seed + attempt.run - 1
    sent = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "seed": seed,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "reasoning_effort": sampling.reasoning_effort,
        "params": None if sampling.params == "{}" else sampling.params,
        "system_sha256": sampling.system_sha256,
    }
    return sent | dict.fromkeys(completion.unsupported_params if completion else ())


def _completion_columns(completion: Completion) -> dict[str, Any]:
    """Return the columns that come from the answer alone."""
    timed, timings = completion.has_timings, completion.server_timings
    served = completion.served or UNDESCRIBED
    return {
        "llm_seconds": completion.llm_seconds if timed else None,
        "queue_seconds": completion.queue_seconds if timed else None,
        "requests": completion.requests if timed else None,
        "model_reported": completion.model,
        "provider_reported": completion.provider,
        "finish_reason": completion.finish_reason,
        "ttft_seconds": completion.ttft_seconds,
        "ttfa_seconds": completion.ttfa_seconds,
        "tokens_per_second": completion.tokens_per_second,
        "chunks": completion.chunks,
        "stream_seconds": completion.stream_seconds,
        "prompt_tokens_per_second": timings.prompt_tokens_per_second if timings else None,
        "decode_tokens_per_second": completion.decode_tokens_per_second,
        "timing_source": completion.timing_source,
        "drafted_tokens": timings.drafted_tokens if timings else None,
        "accepted_tokens": timings.accepted_tokens if timings else None,
        "usage_source": completion.usage_source,
        "prompt_tokens": completion.usage.prompt_tokens,
        "completion_tokens": completion.usage.completion_tokens,
        "reasoning_tokens": completion.usage.reasoning_tokens,
        "cached_tokens": completion.usage.cached_tokens,
        "cost_usd": completion.cost_usd,
        "cost_source": completion.cost_source,
        "from_cache": completion.from_cache,
        "has_reasoning": _has_reasoning(completion),
        "server": served.server_label,
        "quantization": served.quantization,
        "parameters": served.parameters,
        "context_length": served.context_length,
    }


def _has_reasoning(completion: Completion) -> bool | None:
    """Return whether reasoning came with an answer; None if the answer came from a file alone."""
    if completion.reasoning.strip() or reasoning_marks.has_reasoning(completion.text):
        return True
    if completion.usage.reasoning_tokens is not None:
        return completion.usage.reasoning_tokens > 0
    return False if completion.has_timings or completion.from_cache else None
