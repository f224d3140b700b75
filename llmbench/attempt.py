"""Meaning only: what one attempt is, from problem to row."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace

from llmbench import answers, identity, prompts
from llmbench.config import Lane, Plan
from llmbench.errors import ModelError, NotAskedError, SandboxError, TargetError
from llmbench.events import Answered, Asked, BudgetSpent, Finished, Listener, TargetStopped
from llmbench.identity import Identity
from llmbench.models.base import Model
from llmbench.records import LOG_HEAD_CHARS, Attempt, Completion, Message, Outcome, Row, Verdict
from llmbench.sandboxes.allowance import Allowances
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.runners import Runner
from llmbench.store.cache import Cache
from llmbench.store.journal import Bought, Journal, Judged
from llmbench.store.ledger import Ledger
from llmbench.store.work import WorkFolder


@dataclass(frozen=True, slots=True)
class Answer:
    """An attempt with its completion, on its way to the sandbox.

    `asked` is the hash of all that was asked.
    """

    attempt: Attempt
    completion: Completion
    asked: str


@dataclass
class Bench:
    """The parts that every attempt of a run passes through."""

    plan: Plan
    models: Mapping[str, Model]
    runners: Mapping[str, Runner]
    sandbox: Sandbox
    journal: Journal
    work: WorkFolder
    emit: Listener
    ledger: Ledger | None = None
    cache: Cache | None = None
    stopped: set[str] = field(default_factory=set)
    not_asked: int = 0
    broken: int = 0
    spent: float = 0.0

    def __post_init__(self) -> None:
        lanes = (lane for lane in self.plan.lanes if lane.recorded)
        self._recorded = {target.label for lane in lanes for target in lane.targets}
        self._allowances = Allowances(self.sandbox, self.runners, self.plan.test_timeout)

    def go_on(self, ledger: Ledger) -> None:
        """Take what an earlier part of this run has bought and judged."""
        self.ledger = ledger
        self.spent = ledger.spent

    def shares(self) -> Iterator[tuple[Lane, Iterator[Iterator[Attempt]]]]:
        """Each lane with what is left of it to do, group by group."""
        for lane, groups in self.plan.shares():
            yield lane, map(self._remaining, groups)

    def _remaining(self, attempts: Iterator[Attempt]) -> Iterator[Attempt]:
        """The round to make of those that have no row yet, or that of an infrastructure error."""
        for attempt in attempts:
            if self.ledger is None:
                yield attempt
                continue
            last, hashes = self.last_round(attempt, self.ledger)
            if not self.ledger.is_done(hashes.graded):
                yield last

    def rounds(self, attempt: Attempt, ledger: Ledger) -> Iterator[tuple[Attempt, Identity]]:
        """The rounds of an attempt that a ledger knows, and the one to make after those, if any."""
        yield attempt, (hashes := self.identity(attempt))
        while attempt.round <= self.plan.repair and ledger.is_failed(hashes.graded):
            row, completion = ledger.row(hashes.graded), ledger.completion(hashes.asked)
            if row is None or completion is None:  # its line is damaged, which was told
                return
            attempt = prompts.again(attempt, completion.text, row)
            yield attempt, (hashes := self.identity(attempt))

    def last_round(self, attempt: Attempt, ledger: Ledger) -> tuple[Attempt, Identity]:
        """The last of the `rounds`: it is done, or it is what is left to do."""
        *_, last = self.rounds(attempt, ledger)
        return last

    def identity(self, attempt: Attempt) -> Identity:
        """Hashes of what is asked, and of that with what grades it."""
        asked = identity.asked(attempt, self._messages(attempt))
        return Identity(asked, identity.graded(attempt, asked, self.plan.test_timeout))

    def _messages(self, attempt: Attempt) -> tuple[Message, ...]:
        about = self.runners[attempt.problem.lang].about
        return prompts.messages(attempt.problem, about.instructions) + attempt.talk

    @property
    def budget_spent(self) -> bool:
        """True when the answers so far cost what the plan allows."""
        return self.plan.max_cost is not None and self.spent >= self.plan.max_cost

    async def ask(
        self, attempt: Attempt, slot: AbstractAsyncContextManager[object]
    ) -> Answer | None:
        """Ask the model; None when there is nothing to grade.

        A fault of the provider ends the attempt in its row. One that every further request would
        meet stops the target: its remaining attempts are not asked, get no row, and are counted.
        """
        label = attempt.target.label
        messages = self._messages(attempt)
        asked = identity.asked(attempt, messages)
        earlier = self._earlier(attempt, asked)
        if earlier is not None:
            self.emit(Answered(attempt.key, earlier))
            return Answer(attempt, earlier, asked)
        if label in self.stopped or self.budget_spent:
            self.not_asked += 1
            return None
        self.emit(Asked(attempt.key))
        try:
            completion = attempt.given or await self.models[label].complete(
                messages, run=attempt.run, slot=slot
            )
        except NotAskedError:
            self.not_asked += 1
            return None
        except ModelError as error:
            if isinstance(error, TargetError) and label not in self.stopped:
                self.stopped.add(label)
                self.models[label].drain()
                self.emit(TargetStopped(label, str(error)))
            verdict = Verdict(Outcome.PROVIDER_ERROR, log=str(error))
            row = self._row(attempt, None, None, verdict)
            lost = replace(row, tries=error.requests or None, cost_usd=error.cost_usd)
            self._finish(attempt, asked, lost)
            self._pay(error.cost_usd)
            return None
        self.journal.append(Bought(attempt.key, completion, asked))
        self.emit(Answered(attempt.key, completion))
        self._pay(completion.cost_usd)
        return Answer(attempt, completion, asked)

    def _earlier(self, attempt: Attempt, asked: str) -> Completion | None:
        """An answer that this run or, with a cache, another one has bought."""
        found = self.ledger.completion(asked) if self.ledger else None
        if found is None and self.cache is not None:
            found = self.cache.completion(asked)
            if found is not None:
                self.journal.append(Bought(attempt.key, found, asked))
        return found

    def _pay(self, cost_usd: float | None) -> None:
        before = self.budget_spent
        self.spent += cost_usd or 0.0
        if self.budget_spent and not before:
            assert self.plan.max_cost is not None
            self.drain()
            self.emit(BudgetSpent(self.spent, self.plan.max_cost))

    def drain(self) -> int:
        """Have nothing more asked: what waits for that is given up, and counted."""
        return sum(model.drain() for model in self.models.values())

    async def grade(self, answer: Answer) -> Attempt | None:
        """Find the code, run the tests, finish the attempt in its row; the next round, if any."""
        attempt, completion = answer.attempt, answer.completion
        problem = attempt.problem
        runner = self.runners[problem.lang]
        found = answers.extract(
            completion.text, fences=runner.about.fences, signs=runner.about.signs
        )
        files = {"answer.md": completion.text}
        if attempt.talk:
            files["question.md"] = attempt.talk[-1].content
        if completion.reasoning:
            files["reasoning.md"] = completion.reasoning
        if found.code is None:
            verdict = Verdict(Outcome.NO_CODE, log="the answer holds no code")
        else:
            files[runner.about.solution] = found.code
            verdict = await self._run_tests(attempt, runner, found.code)
            files["log.txt"] = verdict.log
        if completion.truncated and verdict.outcome not in (
            Outcome.PASSED,
            Outcome.SANDBOX_ERROR,
        ):
            verdict = replace(verdict, outcome=Outcome.TRUNCATED)
        self.work.keep(attempt, files)
        row = self._row(attempt, completion, str(found.how), verdict)
        self._finish(attempt, answer.asked, row)
        if row.passed is not False or attempt.round > self.plan.repair:
            return None
        return prompts.again(attempt, completion.text, row)

    async def _run_tests(self, attempt: Attempt, runner: Runner, code: str) -> Verdict:
        try:
            allowed = await self._allowances.of(attempt.problem)
            submission = runner.submission(
                attempt.key, attempt.problem, code, allowed.timeout, allowed.cpu_seconds
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
            recorded=attempt.target.label in self._recorded,
        )

    def _finish(self, attempt: Attempt, asked: str, row: Row) -> None:
        self.broken += Outcome(row.outcome).is_infrastructure
        graded = identity.graded(attempt, asked, self.plan.test_timeout)
        self.journal.append(Judged(row, graded))
        self.emit(Finished(row))


def make_row(
    attempt: Attempt,
    completion: Completion | None,
    verdict: Verdict,
    extraction: str | None,
    *,
    sandbox: str | None = None,
    recorded: bool = False,
) -> Row:
    """Everything that is known of an attempt, flat."""
    target, problem, sampling = attempt.target, attempt.problem, attempt.target.sampling
    score = verdict.outcome.score
    usage = completion.usage if completion else None
    unsent = completion.unsent if completion else ()
    seed = None if sampling.seed is None else sampling.seed + attempt.run - 1
    timed = completion if completion and completion.timed else None
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
        tries=timed.tries if timed else None,
        max_tokens=None if "max_tokens" in unsent else sampling.max_tokens,
        temperature=None if "temperature" in unsent else sampling.temperature,
        seed=None if "seed" in unsent else seed,
        recorded=recorded,
        cached=completion is not None and completion.cached,
        sandbox=sandbox,
        difficulty=problem.difficulty,
        tags=",".join(problem.tags),
        problem_sha256=problem.sha256,
    )
