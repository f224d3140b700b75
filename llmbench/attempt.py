"""Meaning only: what one attempt is, from problem to row."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from llmbench import extraction as answers
from llmbench import fingerprint, prompts
from llmbench.errors import CancelledBeforeSendError, ModelError, SandboxError, TargetError
from llmbench.events import (
    AttemptFinished,
    BudgetExhausted,
    CompletionReceived,
    Listener,
    RequestStarted,
    TargetStopped,
)
from llmbench.fingerprint import Fingerprint
from llmbench.models.base import Model
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import LOG_HEAD_CHARS, Attempt, Completion, Message, Outcome, Row, Verdict
from llmbench.runners import Runner
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.time_limits import TimeLimits
from llmbench.store.cache import Cache
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.journal_index import JournalIndex
from llmbench.store.run_dir import RunDirectory


@dataclass(frozen=True, slots=True)
class AnsweredAttempt:
    """An attempt with its completion, on its way to the sandbox.

    `asked` is the hash of all that was asked.
    """

    attempt: Attempt
    completion: Completion
    asked: str


@dataclass
class AttemptPipeline:
    """The parts that every attempt of a run passes through."""

    plan: Plan
    models: Mapping[str, Model]
    runners: Mapping[str, Runner]
    sandbox: Sandbox
    journal: Journal
    work: RunDirectory
    emit: Listener
    index: JournalIndex | None = None
    cache: Cache | None = None
    stopped_targets: set[str] = field(default_factory=set)
    skipped: int = 0
    infrastructure_errors: int = 0
    cost_usd: float = 0.0

    def __post_init__(self) -> None:
        endpoints = (endpoint for endpoint in self.plan.endpoints if endpoint.replayed)
        self._replayed = {target.label for endpoint in endpoints for target in endpoint.targets}
        self._time_limits = TimeLimits(self.sandbox, self.runners, self.plan.test_timeout)

    def resume_from(self, index: JournalIndex) -> None:
        """Take what an earlier part of this run has bought and judged."""
        self.index = index
        self.cost_usd = index.cost_usd

    def workloads(self) -> Iterator[tuple[EndpointPlan, Iterator[Iterator[Attempt]]]]:
        """Each lane with what is left of it to do, group by group."""
        for endpoint, groups in self.plan.workloads():
            yield endpoint, map(self._remaining, groups)

    def _remaining(self, attempts: Iterator[Attempt]) -> Iterator[Attempt]:
        """The round to make of those that have no row yet, or that of an infrastructure error."""
        for attempt in attempts:
            if self.index is None:
                yield attempt
                continue
            last, hashes = self.last_round(attempt, self.index)
            if not self.index.is_done(hashes.result_hash):
                yield last

    def rounds(
        self, attempt: Attempt, index: JournalIndex
    ) -> Iterator[tuple[Attempt, Fingerprint]]:
        """The rounds of an attempt that a ledger knows, and the one to make after those, if any."""
        yield attempt, (hashes := self.identity(attempt))
        while attempt.round <= self.plan.max_repairs and index.is_failed(hashes.result_hash):
            row, completion = index.row(hashes.result_hash), index.completion(hashes.request_hash)
            if row is None or completion is None:  # its line is damaged, which was told
                return
            attempt = prompts.repair_attempt(attempt, completion.text, row)
            yield attempt, (hashes := self.identity(attempt))

    def last_round(self, attempt: Attempt, index: JournalIndex) -> tuple[Attempt, Fingerprint]:
        """The last of the `rounds`: it is done, or it is what is left to do."""
        *_, last = self.rounds(attempt, index)
        return last

    def identity(self, attempt: Attempt) -> Fingerprint:
        """Hashes of what is asked, and of that with what grades it."""
        asked = fingerprint.request_hash(attempt, self._messages(attempt))
        return Fingerprint(asked, fingerprint.result_hash(attempt, asked, self.plan.test_timeout))

    def _messages(self, attempt: Attempt) -> tuple[Message, ...]:
        about = self.runners[attempt.problem.lang].config
        return prompts.messages(attempt.problem, about.instructions) + attempt.followups

    @property
    def budget_exhausted(self) -> bool:
        """True when the answers so far cost what the plan allows."""
        return self.plan.max_cost is not None and self.cost_usd >= self.plan.max_cost

    async def ask(
        self, attempt: Attempt, slot: AbstractAsyncContextManager[object]
    ) -> AnsweredAttempt | None:
        """Ask the model; None when there is nothing to grade.

        A fault of the provider ends the attempt in its row. One that every further request would
        meet stops the target: its remaining attempts are not asked, get no row, and are counted.
        """
        label = attempt.target.label
        messages = self._messages(attempt)
        asked = fingerprint.request_hash(attempt, messages)
        earlier = self._known_completion(attempt, asked)
        if earlier is not None:
            self.emit(CompletionReceived(attempt.key, earlier))
            return AnsweredAttempt(attempt, earlier, asked)
        if label in self.stopped_targets or self.budget_exhausted:
            self.skipped += 1
            return None
        self.emit(RequestStarted(attempt.key))
        try:
            completion = attempt.known_completion or await self.models[label].complete(
                messages, run=attempt.run, slot=slot
            )
        except CancelledBeforeSendError:
            self.skipped += 1
            return None
        except ModelError as error:
            if isinstance(error, TargetError) and label not in self.stopped_targets:
                self.stopped_targets.add(label)
                self.models[label].drain()
                self.emit(TargetStopped(label, error.reason))
            verdict = Verdict(Outcome.PROVIDER_ERROR, log=str(error))
            row = self._row(attempt, None, None, verdict)
            lost = replace(row, requests=error.requests or None, cost_usd=error.cost_usd)
            self._finish(attempt, asked, lost)
            self._add_cost(error.cost_usd)
            return None
        self.journal.append(CompletionEntry(attempt.key, completion, asked))
        self.emit(CompletionReceived(attempt.key, completion))
        self._add_cost(completion.cost_usd)
        return AnsweredAttempt(attempt, completion, asked)

    def _known_completion(self, attempt: Attempt, asked: str) -> Completion | None:
        """An answer that this run or, with a cache, another one has bought."""
        found = self.index.completion(asked) if self.index else None
        if found is None and self.cache is not None:
            found = self.cache.completion(asked)
            if found is not None:
                self.journal.append(CompletionEntry(attempt.key, found, asked))
        return found

    def _add_cost(self, cost_usd: float | None) -> None:
        before = self.budget_exhausted
        self.cost_usd += cost_usd or 0.0
        if self.budget_exhausted and not before:
            assert self.plan.max_cost is not None
            self.drain()
            self.emit(BudgetExhausted(self.cost_usd, self.plan.max_cost))

    def drain(self) -> int:
        """Have nothing more asked: what waits for that is given up, and counted."""
        return sum(model.drain() for model in self.models.values())

    async def grade(self, answer: AnsweredAttempt) -> Attempt | None:
        """Find the code, run the tests, finish the attempt in its row; the next round, if any."""
        attempt, completion = answer.attempt, answer.completion
        problem = attempt.problem
        runner = self.runners[problem.lang]
        found = answers.extract(
            completion.text, fences=runner.config.fences, code_patterns=runner.config.code_patterns
        )
        files = {"answer.md": completion.text}
        if attempt.followups:
            files["question.md"] = attempt.followups[-1].content
        if completion.reasoning:
            files["reasoning.md"] = completion.reasoning
        if found.code is None:
            verdict = Verdict(Outcome.NO_CODE, log="the answer holds no code")
        else:
            files[runner.config.solution] = found.code
            verdict = await self._run_tests(attempt, runner, found.code)
            files["log.txt"] = verdict.log
        if completion.truncated and verdict.outcome not in (
            Outcome.PASSED,
            Outcome.SANDBOX_ERROR,
        ):
            verdict = replace(verdict, outcome=Outcome.TRUNCATED)
        self.work.keep(attempt, files)
        row = self._row(attempt, completion, str(found.method), verdict)
        self._finish(attempt, answer.asked, row)
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
        extraction: str | None,
        verdict: Verdict,
    ) -> Row:
        return make_row(
            attempt,
            completion,
            verdict,
            extraction,
            sandbox=self.sandbox.name if verdict.seconds is not None else None,
            replayed=attempt.target.label in self._replayed,
        )

    def _finish(self, attempt: Attempt, asked: str, row: Row) -> None:
        self.infrastructure_errors += Outcome(row.outcome).is_infrastructure
        graded = fingerprint.result_hash(attempt, asked, self.plan.test_timeout)
        self.journal.append(ResultEntry(row, graded))
        self.emit(AttemptFinished(row))


def make_row(
    attempt: Attempt,
    completion: Completion | None,
    verdict: Verdict,
    extraction: str | None,
    *,
    sandbox: str | None = None,
    replayed: bool = False,
) -> Row:
    """Everything that is known of an attempt, flat."""
    target, problem, sampling = attempt.target, attempt.problem, attempt.target.sampling
    score = verdict.outcome.score
    usage = completion.usage if completion else None
    unsent = completion.unsupported_params if completion else ()
    seed = None if sampling.seed is None else sampling.seed + attempt.run - 1
    timed = completion if completion and completion.has_timings else None
    return Row(
        problem_id=problem.id,
        lang=problem.lang,
        run=attempt.run,
        round=attempt.round,
        score=score,
        passed=None if score is None else score == 100,
        exit_code=verdict.exit_code,
        llm_seconds=timed.llm_seconds if timed else None,
        log_head=verdict.log[:LOG_HEAD_CHARS],
        outcome=verdict.outcome.value,
        provider=target.provider,
        model=target.model,
        target=target.label,
        model_reported=completion.model if completion else None,
        provider_reported=completion.provider if completion else None,
        finish_reason=completion.finish_reason if completion else None,
        extraction=extraction,
        tests_passed=verdict.tests_passed,
        tests_total=verdict.tests_total,
        ttft_seconds=completion.ttft_seconds if completion else None,
        ttfa_seconds=completion.ttfa_seconds if completion else None,
        tokens_per_second=completion.tokens_per_second if completion else None,
        queue_seconds=timed.queue_seconds if timed else None,
        test_seconds=verdict.seconds,
        test_cpu_seconds=verdict.cpu_seconds,
        usage_source=completion.usage_source if completion else None,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
        cached_tokens=usage.cached_tokens if usage else None,
        cost_usd=completion.cost_usd if completion else None,
        requests=timed.requests if timed else None,
        max_tokens=None if "max_tokens" in unsent else sampling.max_tokens,
        temperature=None if "temperature" in unsent else sampling.temperature,
        seed=None if "seed" in unsent else seed,
        replayed=replayed,
        from_cache=completion is not None and completion.from_cache,
        sandbox=sandbox,
        difficulty=problem.difficulty,
        tags=",".join(problem.tags),
        problem_sha256=problem.sha256,
    )
