"""`llmbench problems check`: prove in the sandbox that problems hold."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import anyio

from llmbench import mutations
from llmbench.cli.options.problems import CheckOptions
from llmbench.mutations import Mutant
from llmbench.problem_check import CheckResult, MutationResult, ProblemChecker
from llmbench.records import Problem
from llmbench.reports.console import Console
from llmbench.runners import AUTHORING, Runner
from llmbench.sandboxes.open import open_sandbox
from llmbench.store.run_dir import new_run_id

LOG_LINES = 20
"""Most lines of a failed reference's log that are shown: its last, where summaries stand."""


def check(options: CheckOptions, problems: Sequence[Problem], runners: Mapping[str, Runner]) -> int:
    """Prove every problem, a line each; 1 if one does not hold."""
    return anyio.run(_check, options, problems, runners)


async def _check(
    options: CheckOptions, problems: Sequence[Problem], runners: Mapping[str, Runner]
) -> int:
    console = Console(quiet=False)
    langs = sorted({p.lang for p in problems})
    needed = {lang: runners[lang] for lang in langs}
    mutants = _mutants(options, problems, needed) if options.mutate else {}
    sandbox = await open_sandbox(
        options.spec,
        needed,
        run_id=new_run_id(),
        own_answers=False,
        notify=console.info,
    )
    try:
        prover = ProblemChecker(
            sandbox,
            runners,
            test_timeout=options.test_timeout,
            slots=options.sandbox_slots,
        )
        checked = await _check_all(_Checking(prover, options, mutants, console), problems)
    finally:
        await sandbox.aclose()
    held = sum(not proof.faults for proof, _ in checked)
    warned = sum(bool(proof.warnings) for proof, _ in checked)
    console.print(f"{held} of {len(checked)} problems hold, {warned} with a warning")
    surveys = [survey for _, survey in checked if survey is not None]
    if options.mutate:
        killed, judged = sum(s.killed for s in surveys), sum(s.judged for s in surveys)
        console.print(
            f"{_share(killed, judged)} of the mutants of {len(surveys)} references killed"
        )
    return 0 if held == len(checked) else 1


def _mutants(
    options: CheckOptions, problems: Sequence[Problem], runners: Mapping[str, Runner]
) -> dict[str, list[Mutant]]:
    """The mutants to try, by the id of their problem."""
    rules = {
        lang: mutations.load_rules(runner.folder / AUTHORING) for lang, runner in runners.items()
    }
    return {
        problem.id: mutations.sample(
            mutations.mutants(problem.reference, rules[problem.lang]),
            options.mutants,
            f"{options.mutation_seed} {problem.id}",
        )
        for problem in problems
        if problem.reference is not None
    }


class _Checking(NamedTuple):
    prover: ProblemChecker
    options: CheckOptions
    mutants: Mapping[str, Sequence[Mutant]]
    console: Console


async def _check_all(
    checking: _Checking, problems: Sequence[Problem]
) -> list[tuple[CheckResult, MutationResult | None]]:
    """What was found of each problem, told when it is there."""
    checked: list[tuple[CheckResult, MutationResult | None]] = []
    width = max(len(problem.id) for problem in problems)
    # One problem more than there are sandboxes keeps them busy to its last answer.
    under_way = anyio.CapacityLimiter(checking.options.sandbox_slots + 1)

    async def one(problem: Problem) -> None:
        async with under_way:
            proof = await checking.prover.prove(problem, checking.options.repeat)
            survey = None
            if problem.id in checking.mutants and not proof.faults:
                survey = await checking.prover.mutate(problem, checking.mutants[problem.id])
        checked.append((proof, survey))
        checking.console.print(*lines(proof, checking.options.repeat, width))
        if survey is not None:
            checking.console.print(*_survey_lines(problem, survey))

    async with anyio.create_task_group() as tasks:
        for problem in problems:
            tasks.start_soon(one, problem)
    return checked


def lines(proof: CheckResult, repeat: int, width: int) -> Iterator[str]:
    """A line for the problem, and one for each thing to do about it."""
    mark = "FAIL" if proof.faults else "warn" if proof.warnings else "ok"
    facts = [f"{proof.refused} other answers fail"]
    if proof.problem.reference is not None:
        facts.insert(0, f"reference {proof.passed}/{repeat}")
    if proof.pace is not None:
        cpu = proof.pace.cpu_seconds
        facts.append(
            f"{'-' if cpu is None else f'{cpu:.2f}'} s cpu, {proof.pace.seconds:.2f} s wall, "
            f"{proof.pace.share:.0%} of {proof.pace.limit:g} s"
        )
    yield f"{mark:4} {proof.problem.id:{width}}  {'; '.join(facts)}"
    yield from (f"     fault: {fault}" for fault in proof.faults)
    yield from (f"     warning: {warning}" for warning in proof.warnings)
    if proof.faults and proof.log:
        yield from (f"     | {line}" for line in proof.log.strip().splitlines()[-LOG_LINES:])


def _survey_lines(problem: Problem, survey: MutationResult) -> Iterator[str]:
    """The share of mutants killed, and each survivor as a diff."""
    facts = [f"mutants: {survey.killed} of {survey.judged} killed"]
    facts[0] += f" ({_share(survey.killed, survey.judged)})"
    if survey.refused:
        facts.append(f"{survey.refused} more did not compile")
    if survey.unjudged:
        facts.append(f"{survey.unjudged} were not judged, the sandbox failed")
    yield f"     {'; '.join(facts)}"
    for mutant in survey.survivors:
        where = f"line {mutant.line}, {mutant.operator}"
        yield f"     survived: {where}: add a test, if it is a mistake"
        yield from (f"       {line}" for line in mutations.changed(problem.reference or "", mutant))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"
