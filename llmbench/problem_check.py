"""Checks of problems: a right answer passes their tests, and every other answer fails them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import anyio

from llmbench.errors import SandboxError
from llmbench.extraction import prompt_stub
from llmbench.mutations import Mutant
from llmbench.records import AttemptKey, Outcome, Problem, Verdict
from llmbench.runners import Runner
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.time_limits import TimeLimit, TimeLimits

REFERENCE = "the reference"
EMPTY = "an empty answer"
STUB = "the stub of its prompt"

ENOUGH_WRONG_ANSWERS = 3
"""With fewer, the tests may miss the mistakes that models make."""

SLOW_SHARE = 0.5
"""If a reference needs more of its limit, right answers that are slower may not pass."""


class ReferenceTiming(NamedTuple):
    """The slowest run of a reference, and the processor time that it may take, in seconds."""

    cpu_seconds: float | None
    seconds: float
    limit: float

    @property
    def share(self) -> float:
        """The used share of the limit, 0 to 1."""
        return (self.seconds if self.cpu_seconds is None else self.cpu_seconds) / self.limit


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The faults and warnings of one problem.

    `passed` counts the runs of the reference that passed, `rejected` the other answers that failed
    as they must. `log` is the log of a reference that did not pass.
    """

    problem: Problem
    passed: int
    rejected: int
    timing: ReferenceTiming | None
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    log: str = ""

    @property
    def valid(self) -> bool:
        """True if the problem has no fault."""
        return not self.faults


@dataclass(frozen=True, slots=True)
class MutationResult:
    """The fate of the mutants of a reference.

    Only those that were `tested` count. The others did not compile, or met a failing sandbox.
    """

    killed: int
    survivors: tuple[Mutant, ...]
    did_not_compile: int
    sandbox_errors: int

    @property
    def tested(self) -> int:
        """The number of mutants that a test could have killed."""
        return self.killed + len(self.survivors)


class _Trial(NamedTuple):
    """One answer to run; `name` says in messages which one it is."""

    name: str
    code: str


class ProblemChecker:
    """Runs answers to problems in a sandbox, at most `slots` at a time.

    `test_timeout` bounds every test run, in seconds of processor time. `tags` are those that the
    problems may have; None allows any.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        runners: Mapping[str, Runner],
        *,
        test_timeout: float,
        slots: int,
        tags: Collection[str] | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._runners = runners
        self._time_limits = TimeLimits(sandbox, runners, test_timeout)
        self._slots = anyio.CapacityLimiter(slots)
        self._tags = tags

    async def check(self, problem: Problem, repeat: int) -> CheckResult:
        """Run the reference `repeat` times, each wrong answer, the stub and an empty answer."""
        try:
            limit = await self._time_limits.of(problem)
        except SandboxError as error:
            return CheckResult(problem, 0, 0, None, (str(error),), ())
        trials = list(self._trials(problem, repeat))
        verdicts = await self._run_all(problem, trials, limit)
        references = [v for t, v in zip(trials, verdicts, strict=True) if t.name == REFERENCE]
        others = {t.name: v for t, v in zip(trials, verdicts, strict=True) if t.name != REFERENCE}
        timing = _timing(references, limit)
        return CheckResult(
            problem,
            passed=sum(v.outcome is Outcome.PASSED for v in references),
            rejected=sum(v.outcome.score == 0 for v in others.values()),
            timing=timing,
            faults=(*_reference_faults(references), *_other_faults(problem, others)),
            warnings=(
                *_warnings(problem, timing, has_stub=STUB in others),
                *tag_warnings(problem, self._tags),
            ),
            log=next((v.log for v in references if v.outcome is not Outcome.PASSED), ""),
        )

    async def run_reference(self, problem: Problem) -> Verdict:
        """Return the verdict of the tests on the reference.

        Raises:
            SandboxError: the problem's limit cannot be measured.
        """
        assert problem.reference is not None
        limit = await self._time_limits.of(problem)
        key = AttemptKey("check", problem.id, 1)
        return await self._run(problem, problem.reference, key, limit)

    async def mutate(self, problem: Problem, mutants: Sequence[Mutant]) -> MutationResult:
        """Run the tests of a problem on mutants of its reference.

        Raises:
            SandboxError: the problem's limit cannot be measured.
        """
        limit = await self._time_limits.of(problem)
        trials = [_Trial(mutant.operator, mutant.code) for mutant in mutants]
        outcomes = [v.outcome for v in await self._run_all(problem, trials, limit)]
        survivors = tuple(
            mutant
            for mutant, outcome in zip(mutants, outcomes, strict=True)
            if outcome is Outcome.PASSED
        )
        did_not_compile = outcomes.count(Outcome.COMPILE_ERROR)
        sandbox_errors = outcomes.count(Outcome.SANDBOX_ERROR)
        killed = len(outcomes) - len(survivors) - did_not_compile - sandbox_errors
        return MutationResult(killed, survivors, did_not_compile, sandbox_errors)

    def _trials(self, problem: Problem, repeat: int) -> Iterator[_Trial]:
        if problem.reference is not None:
            yield from [_Trial(REFERENCE, problem.reference)] * repeat
        for name, code in problem.wrong_answers.items():
            yield _Trial(_wrong(name), code)
        yield _Trial(EMPTY, "")
        stub = prompt_stub(problem.prompt, self._runners[problem.lang].syntax)
        if stub is not None:
            yield _Trial(STUB, stub)

    async def _run_all(
        self, problem: Problem, trials: Sequence[_Trial], limit: TimeLimit
    ) -> list[Verdict]:
        """Return the verdict of each trial, in their order."""
        verdicts: dict[int, Verdict] = {}

        async def run(index: int, code: str) -> None:
            key = AttemptKey("check", problem.id, index)
            verdicts[index] = await self._run(problem, code, key, limit)

        async with anyio.create_task_group() as tasks:
            for index, trial in enumerate(trials):
                tasks.start_soon(run, index, trial.code)
        return [verdicts[index] for index in range(len(trials))]

    async def _run(self, problem: Problem, code: str, key: AttemptKey, limit: TimeLimit) -> Verdict:
        """Run the tests on this code; the failure of a sandbox is a verdict too."""
        submission = self._runners[problem.lang].submission(
            key, problem, code, limit.timeout, limit.cpu_seconds
        )
        async with self._slots:
            try:
                return await self._sandbox.run(submission)
            except SandboxError as error:
                return Verdict(Outcome.SANDBOX_ERROR, log=str(error))


def _wrong(name: str) -> str:
    return f"the wrong answer {name}"


def _timing(references: Sequence[Verdict], limit: TimeLimit) -> ReferenceTiming | None:
    timed = [v for v in references if v.seconds is not None]
    if not timed:
        return None
    cpu = [v.cpu_seconds for v in timed if v.cpu_seconds is not None]
    seconds = max(v.seconds or 0.0 for v in timed)
    return ReferenceTiming(max(cpu, default=None), seconds, limit.cpu_seconds)


def _reference_faults(verdicts: Sequence[Verdict]) -> Iterator[str]:
    bad = [v.outcome for v in verdicts if v.outcome is not Outcome.PASSED]
    if not bad:
        return
    if len(bad) == len(verdicts):
        yield f"{REFERENCE} does not pass ({bad[0]}): correct it or the tests, its log is below"
    else:
        yield (
            f"{REFERENCE} passes {len(verdicts) - len(bad)} of {len(verdicts)} times "
            f"({bad[0]}): make the tests independent of chance and time, a failed log is below"
        )


def _other_faults(problem: Problem, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    wrong = {_wrong(name) for name in problem.wrong_answers}
    no_compile = {_wrong(name) for name in problem.compile_errors}
    for name, verdict in verdicts.items():
        outcome = verdict.outcome
        if outcome is Outcome.PASSED:
            yield f"{name} passes: add a test that it fails"
        elif outcome is Outcome.SANDBOX_ERROR:
            first_line = next(iter(verdict.log.splitlines()), "")
            yield f"{name} was not tested, the sandbox failed: {first_line}"
        elif name in no_compile and outcome is not Outcome.COMPILE_ERROR:
            yield f"{name} is in compile_errors, but it ended as {outcome}: remove it there"
        elif name in wrong - no_compile and outcome is Outcome.COMPILE_ERROR:
            yield (
                f"{name} does not compile, so no test ran on it: "
                "correct it, or add it to compile_errors"
            )


def _warnings(problem: Problem, timing: ReferenceTiming | None, *, has_stub: bool) -> Iterator[str]:
    if problem.reference is None:
        yield "no reference: nothing shows that the problem can be solved; add one"
    if 0 < len(problem.wrong_answers) < ENOUGH_WRONG_ANSWERS:
        yield (
            f"{len(problem.wrong_answers)} wrong answers: add plausible mistakes that the tests "
            f"must catch, at least {ENOUGH_WRONG_ANSWERS} in all"
        )
    if not has_stub:
        yield "the prompt shows no code: state the exact interface in a fenced block"
    if timing is not None and timing.share > SLOW_SHARE:
        yield f"{REFERENCE} needs {timing.share:.0%} of its limit: raise `timeout`"


def tag_warnings(problem: Problem, tags: Collection[str] | None) -> Iterator[str]:
    """Yield a warning for each tag of a problem that is not one of `tags`; None allows any."""
    for tag in problem.tags:
        if tags is not None and tag not in tags:
            yield f"tags: {tag!r} is not one of {', '.join(sorted(tags))}"
