"""`llmbench problems check`: prove in the sandbox that problems hold."""

from collections.abc import Iterator, Mapping, Sequence

import anyio

from llmbench.checks import Proof, Prover
from llmbench.cli.options.problems import CheckOptions
from llmbench.cli.screen import Screen
from llmbench.records import Problem
from llmbench.sandboxes.choose import open_sandbox
from llmbench.sandboxes.runners import Runner
from llmbench.store.work import new_run_id

LOG_LINES = 20
"""Most lines of a failed reference's log that are shown: its last, where summaries stand."""


def check(options: CheckOptions, problems: Sequence[Problem], runners: Mapping[str, Runner]) -> int:
    """Prove every problem, a line each; 1 if one does not hold."""
    return anyio.run(_check, options, problems, runners)


async def _check(
    options: CheckOptions, problems: Sequence[Problem], runners: Mapping[str, Runner]
) -> int:
    screen = Screen(quiet=False)
    sandbox = await open_sandbox(
        options.sandbox.kind,
        {lang: runners[lang] for lang in sorted({p.lang for p in problems})},
        run_id=new_run_id(),
        own_answers=False,
        notify=screen.note,
    )
    try:
        prover = Prover(
            sandbox,
            runners,
            test_timeout=options.sandbox.timeout,
            slots=options.sandbox.slots,
        )
        proofs = await _prove_all(prover, options, problems, screen)
    finally:
        await sandbox.aclose()
    held = sum(not proof.faults for proof in proofs)
    warned = sum(bool(proof.warnings) for proof in proofs)
    screen.say(f"{held} of {len(proofs)} problems hold, {warned} with a warning")
    return 0 if held == len(proofs) else 1


async def _prove_all(
    prover: Prover, options: CheckOptions, problems: Sequence[Problem], screen: Screen
) -> list[Proof]:
    """The proofs, each told when it is there."""
    proofs: list[Proof] = []
    width = max(len(problem.id) for problem in problems)
    # One problem more than there are sandboxes keeps them busy to its last answer.
    under_way = anyio.CapacityLimiter(options.sandbox.slots + 1)

    async def one(problem: Problem) -> None:
        async with under_way:
            proof = await prover.prove(problem, options.repeat)
        proofs.append(proof)
        screen.say(*lines(proof, options.repeat, width))

    async with anyio.create_task_group() as tasks:
        for problem in problems:
            tasks.start_soon(one, problem)
    return proofs


def lines(proof: Proof, repeat: int, width: int) -> Iterator[str]:
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
