"""`llmbench problems check`: run the reference and wrong answers of problems in the sandbox."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import anyio

from llmbench import mutations
from llmbench.cli.options.problems import CheckOptions
from llmbench.mutations import Mutant
from llmbench.problem_check import (
    ENOUGH_WRONG_ANSWERS,
    CheckResult,
    MutationResult,
    ProblemChecker,
)
from llmbench.problems import TAGS
from llmbench.records import Problem
from llmbench.reports.console import Console
from llmbench.runners import AUTHORING, Runner
from llmbench.sandboxes.open import open_sandbox
from llmbench.store.run_dir import new_run_id

LOG_LINES = 20
"""Lines of a failed reference's log that are printed: its last ones, which summarize."""


def check(options: CheckOptions, problems: Sequence[Problem], runners: Mapping[str, Runner]) -> int:
    """Check every problem and print a line for each; 1 if one is not valid."""
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
        warn=console.warn,
    )
    try:
        checker = ProblemChecker(
            sandbox,
            runners,
            test_timeout=options.test_timeout,
            slots=options.sandbox_slots,
            tags=TAGS if options.only_shipped else None,
        )
        results = await _check_all(_Job(checker, options, mutants, console), problems)
    finally:
        await sandbox.aclose()
    checks = [result for result, _ in results]
    valid = sum(result.valid for result in checks)
    warned = sum(bool(result.warnings) for result in checks)
    console.print(f"{valid} of {len(checks)} problems are valid, {warned} with a warning")
    if bare := sum(not check.problem.wrong_answers for check in checks):
        console.print(
            f"{bare} of {len(checks)} problems have no wrong answers: add plausible mistakes that "
            f"the tests must catch, at least {ENOUGH_WRONG_ANSWERS} each"
        )
    if options.mutate:
        mutated = [mutation for _, mutation in results if mutation is not None]
        killed, tested = sum(m.killed for m in mutated), sum(m.tested for m in mutated)
        console.print(
            f"{_share(killed, tested)} of the mutants of {len(mutated)} references killed"
        )
    return 0 if valid == len(checks) else 1


def _mutants(
    options: CheckOptions, problems: Sequence[Problem], runners: Mapping[str, Runner]
) -> dict[str, list[Mutant]]:
    """Return the mutants to test, by the id of their problem."""
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


class _Job(NamedTuple):
    checker: ProblemChecker
    options: CheckOptions
    mutants: Mapping[str, Sequence[Mutant]]
    console: Console


async def _check_all(
    job: _Job, problems: Sequence[Problem]
) -> list[tuple[CheckResult, MutationResult | None]]:
    """Check all problems, and print each result as soon as it is known."""
    results: list[tuple[CheckResult, MutationResult | None]] = []
    width = max(len(problem.id) for problem in problems)
    # One problem more than sandboxes, so that none is idle while a problem waits for one run.
    limiter = anyio.CapacityLimiter(job.options.sandbox_slots + 1)

    async def check_one(problem: Problem) -> None:
        async with limiter:
            result = await job.checker.check(problem, job.options.repeat)
            mutation = None
            if problem.id in job.mutants and result.valid:
                mutation = await job.checker.mutate(problem, job.mutants[problem.id])
        results.append((result, mutation))
        job.console.print(*_check_lines(result, job.options.repeat, width))
        if mutation is not None:
            job.console.print(*_mutation_lines(problem, mutation))

    async with anyio.create_task_group() as tasks:
        for problem in problems:
            tasks.start_soon(check_one, problem)
    return results


def _check_lines(result: CheckResult, repeat: int, width: int) -> Iterator[str]:
    """Yield a line for the problem, and one for each fault and warning."""
    status = "FAIL" if not result.valid else "warn" if result.warnings else "ok"
    facts = [f"{result.rejected} other answers fail"]
    if result.problem.reference is not None:
        facts.insert(0, f"reference {result.passed}/{repeat}")
    if (timing := result.timing) is not None:
        cpu = "-" if timing.cpu_seconds is None else f"{timing.cpu_seconds:.2f}"
        facts.append(
            f"{cpu} s cpu, {timing.seconds:.2f} s wall, {timing.share:.0%} of {timing.limit:g} s"
        )
    yield f"{status:4} {result.problem.id:{width}}  {'; '.join(facts)}"
    yield from (f"     fault: {fault}" for fault in result.faults)
    yield from (f"     warning: {warning}" for warning in result.warnings)
    if not result.valid and result.log:
        yield from (f"     | {line}" for line in result.log.strip().splitlines()[-LOG_LINES:])


def _mutation_lines(problem: Problem, result: MutationResult) -> Iterator[str]:
    """Yield the share of mutants that the tests killed, and each survivor as a diff."""
    share = _share(result.killed, result.tested)
    facts = [f"mutants: {result.killed} of {result.tested} killed ({share})"]
    if result.did_not_compile:
        facts.append(f"{result.did_not_compile} more did not compile")
    if result.sandbox_errors:
        facts.append(f"{result.sandbox_errors} were not tested, the sandbox failed")
    yield f"     {'; '.join(facts)}"
    for mutant in result.survivors:
        where = f"line {mutant.line}, {mutant.operator}"
        yield f"     survived: {where}: add a test, if it is a mistake"
        yield from (f"       {line}" for line in mutations.diff(problem.reference or "", mutant))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"
