"""What a run tells of itself: `run.json`, the metadata of tables, its rows."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from llmbench import prompts
from llmbench.attempt import Bench
from llmbench.cli.screen import Screen
from llmbench.config import Plan
from llmbench.records import Row
from llmbench.store import provenance
from llmbench.store.ledger import Ledger


def begin(
    bench: Bench,
    versions: Mapping[str, str],
    commands: Sequence[Sequence[str]],
    part_of: str | None = None,
) -> None:
    """Write `run.json` before anything is asked; without commands, nothing resumes the run.

    `versions` tells what runs the tests.

    Raises:
        OutputError: it cannot be written.
    """
    before = [] if bench.ledger is None else provenance.read(bench.work.path)["sessions"]
    session: dict[str, Any] = {
        "start": provenance.now(),
        "end": None,
        **provenance.machine(),
        "sandbox": bench.sandbox.name,
        "versions": versions,
    }
    record: dict[str, Any] = {
        "run": bench.work.run_id,
        "commands": commands,
        "plan": _plan(bench.plan),
        "part_of": part_of,
        "prompt_template_sha256": template_sha256(bench),
        "sessions": [*before, session],
    }
    provenance.write(bench.work.path, record)


def template_sha256(bench: Bench) -> dict[str, str]:
    """Hash of all in a prompt that no problem says, by language."""
    again = [prompts.WRONG, prompts.LOG, prompts.AGAIN] if bench.plan.repair else []
    return {
        lang: prompts.sha256(json.dumps([prompts.SYSTEM, runner.about.instructions, *again]))
        for lang, runner in bench.runners.items()
    }


def about(bench: Bench) -> dict[str, str]:
    """What made the run, as the metadata of tables."""
    record = provenance.read(bench.work.path)
    return {"llmbench": json.dumps(record, ensure_ascii=False)}


def end(bench: Bench) -> None:
    """Write the end into `run.json`.

    Raises:
        OutputError: it cannot be written.
    """
    record = provenance.read(bench.work.path)
    record["sessions"][-1]["end"] = provenance.now()
    provenance.write(bench.work.path, record)


def ledger(bench: Bench, screen: Screen) -> Ledger:
    """All that the run's journal holds by now; damage that is known already is not told again.

    Raises:
        OutputError: the journal is gone.
    """
    heard = (lambda _: None) if bench.ledger is not None else screen.warn
    return Ledger(bench.journal.path, heard)


def rows(bench: Bench, ledger: Ledger) -> Iterator[Row]:
    """The latest row of each attempt of the plan, by target, language, problem and run."""
    with ledger.rows() as find:
        for attempt in bench.plan.ordered():
            row = find(bench.identity(attempt).graded)
            if row is not None:
                yield row


def later_rows(bench: Bench, ledger: Ledger) -> Iterator[Row]:
    """The rows of later rounds, in the same order."""
    with ledger.rows() as find:
        for attempt in bench.plan.ordered():
            for later, hashes in bench.rounds(attempt, ledger):
                row = find(hashes.graded) if later.round > 1 else None
                if row is not None:
                    yield row


def later_missing(bench: Bench, ledger: Ledger) -> Counter[str]:
    """How many answers of each target, by its label, were to be asked for again and were not."""
    missing: Counter[str] = Counter()
    for attempt in bench.plan.ordered():
        last, hashes = bench.last_round(attempt, ledger)
        missing[last.target.label] += last.round > 1 and not ledger.has_row(hashes.graded)
    return missing


def _plan(plan: Plan) -> dict[str, Any]:
    whole = {name: getattr(plan, name) for name in Plan.__slots__}
    whole["lanes"] = [asdict(lane) for lane in plan.lanes]
    whole["problems"] = {problem.id: problem.sha256 for problem in plan.problems}
    return whole
