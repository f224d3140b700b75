"""Proof that problems hold: right answers pass, and all others do not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import anyio

from llmbench import extraction
from llmbench.errors import SandboxError
from llmbench.mutations import Mutant
from llmbench.records import AttemptKey, Outcome, Problem, Verdict
from llmbench.runners import Runner
from llmbench.sandboxes.base import Sandbox
from llmbench.sandboxes.time_limits import TimeLimit, TimeLimits

REFERENCE = "the reference"
EMPTY = "an empty answer"
STUB = "the stub of its prompt"

ENOUGH_WRONG = 3
"""Fewer wrong answers leave it open whether the tests see the mistakes that models make."""

SLOW_SHARE = 0.5
"""A reference that needs more of its limit leaves slower right answers no room."""


class ReferenceTiming(NamedTuple):
    """The slowest run of a reference in seconds, and the processor time it may take."""

    cpu_seconds: float | None
    seconds: float
    limit: float

    @property
    def share(self) -> float:
        """How much of the limit is used, 0 to 1."""
        return (self.seconds if self.cpu_seconds is None else self.cpu_seconds) / self.limit


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was found of one problem: it holds when there is no fault.

    `refused` counts the answers that failed as they must. `log` is that of a reference that did
    not pass.
    """

    problem: Problem
    passed: int
    refused: int
    pace: ReferenceTiming | None
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    log: str = ""


@dataclass(frozen=True, slots=True)
class MutationResult:
    """What became of a reference's mutants: `refused` did not compile and count for nothing.

    `unjudged` met a sandbox that failed.
    """

    killed: int
    survivors: tuple[Mutant, ...]
    refused: int
    unjudged: int

    @property
    def judged(self) -> int:
        """Mutants that tests were run on."""
        return self.killed + len(self.survivors)


class _Trial(NamedTuple):
    name: str
    code: str
    number: int = 1


class ProblemChecker:
    """Runs answers to problems in a sandbox, so many at once and no more.

    `test_timeout` bounds every test run, in seconds by the clock.
    """

    def __init__(
        self, sandbox: Sandbox, runners: Mapping[str, Runner], *, test_timeout: float, slots: int
    ) -> None:
        self._sandbox = sandbox
        self._runners = runners
        self._allowances = TimeLimits(sandbox, runners, test_timeout)
        self._slots = anyio.CapacityLimiter(slots)

    async def prove(self, problem: Problem, repeat: int) -> CheckResult:
        """Try the reference `repeat` times, each wrong answer, the stub and no answer."""
        try:
            allowed = await self._allowances.of(problem)
        except SandboxError as error:
            return CheckResult(problem, 0, 0, None, (str(error),), ())
        trials = list(self._trials(problem, repeat))
        verdicts = await self._run_all(problem, trials, allowed)
        return self._proof(problem, trials, verdicts, allowed)

    async def mutate(self, problem: Problem, mutants: Sequence[Mutant]) -> MutationResult:
        """See which mutants of its reference a problem's tests kill.

        Raises:
            SandboxError: the problem's limit cannot be measured.
        """
        allowed = await self._allowances.of(problem)
        trials = [_Trial(mutant.operator, mutant.code) for mutant in mutants]
        outcomes = [v.outcome for v in await self._run_all(problem, trials, allowed)]
        survivors = tuple(
            mutant
            for mutant, outcome in zip(mutants, outcomes, strict=True)
            if outcome is Outcome.PASSED
        )
        refused = outcomes.count(Outcome.COMPILE_ERROR)
        unjudged = outcomes.count(Outcome.SANDBOX_ERROR)
        killed = len(outcomes) - len(survivors) - refused - unjudged
        return MutationResult(killed, survivors, refused, unjudged)

    def _proof(
        self,
        problem: Problem,
        trials: Sequence[_Trial],
        verdicts: Sequence[Verdict],
        allowed: TimeLimit,
    ) -> CheckResult:
        references = [v for t, v in zip(trials, verdicts, strict=True) if t.name == REFERENCE]
        others = {t.name: v for t, v in zip(trials, verdicts, strict=True) if t.name != REFERENCE}
        passed = sum(v.outcome is Outcome.PASSED for v in references)
        bad = next((v for v in references if v.outcome is not Outcome.PASSED), None)
        faults = [*_reference_faults(references), *_other_faults(problem, others)]
        pace = _pace(references, allowed)
        return CheckResult(
            problem,
            passed,
            sum(v.outcome.score == 0 for v in others.values()),
            pace,
            tuple(faults),
            tuple(_warnings(problem, pace, has_stub=STUB in others)),
            bad.log if bad else "",
        )

    def _trials(self, problem: Problem, repeat: int) -> Iterator[_Trial]:
        if problem.reference is not None:
            for number in range(1, repeat + 1):
                yield _Trial(REFERENCE, problem.reference, number)
        for name, code in problem.wrong_answers.items():
            yield _Trial(_wrong(name), code)
        yield _Trial(EMPTY, "")
        stub = prompt_stub(problem, self._runners[problem.lang])
        if stub is not None:
            yield _Trial(STUB, stub)

    async def _run_all(
        self, problem: Problem, trials: Sequence[_Trial], allowed: TimeLimit
    ) -> list[Verdict]:
        """The verdict of each trial."""
        found: dict[int, Verdict] = {}

        async def one(place: int, trial: _Trial) -> None:
            key = AttemptKey("check", problem.id, place)
            found[place] = await self.run(problem, trial.code, key, allowed)

        async with anyio.create_task_group() as tasks:
            for place, trial in enumerate(trials):
                tasks.start_soon(one, place, trial)
        return [found[place] for place in range(len(trials))]

    async def run(
        self, problem: Problem, code: str, key: AttemptKey, allowed: TimeLimit
    ) -> Verdict:
        """One test run of this code; a sandbox that fails is an outcome too."""
        submission = self._runners[problem.lang].submission(
            key, problem, code, allowed.timeout, allowed.cpu_seconds
        )
        async with self._slots:
            try:
                return await self._sandbox.run(submission)
            except SandboxError as error:
                return Verdict(Outcome.SANDBOX_ERROR, log=str(error))


def prompt_stub(problem: Problem, runner: Runner) -> str | None:
    """The first block of its language in a problem's prompt: what a model may hand back as is."""
    found = extraction.extract(problem.prompt, fences=runner.config.fences, code_patterns=())
    return found.code if found.method is extraction.ExtractionMethod.FENCE else None


def _wrong(name: str) -> str:
    return f"the wrong answer {name}"


def _pace(references: Sequence[Verdict], allowed: TimeLimit) -> ReferenceTiming | None:
    timed = [v for v in references if v.seconds is not None]
    if not timed:
        return None
    cpu = [v.cpu_seconds for v in timed if v.cpu_seconds is not None]
    seconds = max(v.seconds or 0.0 for v in timed)
    return ReferenceTiming(max(cpu, default=None), seconds, allowed.cpu_seconds)


def _reference_faults(verdicts: Sequence[Verdict]) -> Iterator[str]:
    bad = [v.outcome for v in verdicts if v.outcome is not Outcome.PASSED]
    if not bad:
        return
    if len(bad) == len(verdicts):
        yield f"{REFERENCE} does not pass ({bad[0]}): mend it or the tests, its log is below"
    else:
        yield (
            f"{REFERENCE} passes {len(verdicts) - len(bad)} of {len(verdicts)} times "
            f"({bad[0]}): take chance and time out of the tests, a failed log is below"
        )


def _other_faults(problem: Problem, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    refused = {_wrong(name) for name in problem.compile_errors}
    wrong = {_wrong(name) for name in problem.wrong_answers}
    for name, verdict in verdicts.items():
        outcome = verdict.outcome
        if outcome is Outcome.PASSED:
            yield f"{name} passes: add a test that it fails"
        elif outcome is Outcome.SANDBOX_ERROR:
            first = next(iter(verdict.log.splitlines()), "")
            yield f"{name} was not judged, the sandbox failed: {first}"
        elif name in refused and outcome is not Outcome.COMPILE_ERROR:
            yield f"{name} ended as {outcome}, and compile_errors says that it does not compile"
        elif name in wrong - refused and outcome is Outcome.COMPILE_ERROR:
            yield (
                f"{name} does not compile, so no test judged it: "
                "mend it, or add it to compile_errors"
            )


def _warnings(problem: Problem, pace: ReferenceTiming | None, *, has_stub: bool) -> Iterator[str]:
    if problem.reference is None:
        yield "no reference: nothing shows that it can be solved; add one"
    if len(problem.wrong_answers) < ENOUGH_WRONG:
        yield (
            f"{len(problem.wrong_answers)} wrong answers: add plausible mistakes, "
            f"{ENOUGH_WRONG} or more, that the tests must fail"
        )
    if not has_stub:
        yield "the prompt shows no code: state the exact interface in a fenced block"
    if pace is not None and pace.share > SLOW_SHARE:
        yield f"{REFERENCE} needs {pace.share:.0%} of its limit: raise `timeout`"
