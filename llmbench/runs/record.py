"""What a run tells of itself: `run.json`, the metadata of tables, its rows."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from llmbench import prompts
from llmbench.attempt import AttemptPipeline
from llmbench.plan import Plan
from llmbench.records import Row
from llmbench.reports.console import Console
from llmbench.store import provenance
from llmbench.store.journal_index import JournalIndex


def begin(
    pipeline: AttemptPipeline,
    versions: Mapping[str, str],
    commands: Sequence[Sequence[str]],
    sweep_step: str | None = None,
) -> None:
    """Write `run.json` before anything is asked; without commands, nothing resumes the run.

    `versions` tells what runs the tests.

    Raises:
        OutputError: it cannot be written.
    """
    before = [] if pipeline.index is None else provenance.read(pipeline.work.path)["sessions"]
    session: dict[str, Any] = {
        "start": provenance.utc_now(),
        "end": None,
        **provenance.environment(),
        "sandbox": pipeline.sandbox.name,
        "versions": versions,
    }
    record: dict[str, Any] = {
        "run": pipeline.work.run_id,
        "commands": commands,
        "plan": _plan(pipeline.plan),
        "sweep_step": sweep_step,
        "prompt_template_sha256": template_sha256(pipeline),
        "sessions": [*before, session],
    }
    provenance.write(pipeline.work.path, record)


def template_sha256(pipeline: AttemptPipeline) -> dict[str, str]:
    """Hash of all in a prompt that no problem says, by language."""
    again = [prompts.WRONG, prompts.LOG, prompts.AGAIN] if pipeline.plan.max_repairs else []
    return {
        lang: prompts.sha256(json.dumps([prompts.SYSTEM, runner.config.instructions, *again]))
        for lang, runner in pipeline.runners.items()
    }


def about(pipeline: AttemptPipeline) -> dict[str, str]:
    """What made the run, as the metadata of tables."""
    record = provenance.read(pipeline.work.path)
    return {"llmbench": json.dumps(record, ensure_ascii=False)}


def end(pipeline: AttemptPipeline) -> None:
    """Write the end into `run.json`.

    Raises:
        OutputError: it cannot be written.
    """
    record = provenance.read(pipeline.work.path)
    record["sessions"][-1]["end"] = provenance.utc_now()
    provenance.write(pipeline.work.path, record)


def journal_index(pipeline: AttemptPipeline, console: Console) -> JournalIndex:
    """All that the run's journal holds by now; damage that is known already is not told again.

    Raises:
        OutputError: the journal is gone.
    """
    heard = (lambda _: None) if pipeline.index is not None else console.warn
    return JournalIndex(pipeline.journal.path, heard)


def rows(pipeline: AttemptPipeline, journal_index: JournalIndex) -> Iterator[Row]:
    """The latest row of each attempt of the plan, by target, language, problem and run."""
    with journal_index.rows() as find:
        for attempt in pipeline.plan.ordered():
            row = find(pipeline.identity(attempt).result_hash)
            if row is not None:
                yield row


def repair_rows(pipeline: AttemptPipeline, journal_index: JournalIndex) -> Iterator[Row]:
    """The rows of later rounds, in the same order."""
    with journal_index.rows() as find:
        for attempt in pipeline.plan.ordered():
            for later, hashes in pipeline.rounds(attempt, journal_index):
                row = find(hashes.result_hash) if later.round > 1 else None
                if row is not None:
                    yield row


def missing_repairs(pipeline: AttemptPipeline, journal_index: JournalIndex) -> Counter[str]:
    """How many answers of each target, by its label, were to be asked for again and were not."""
    missing: Counter[str] = Counter()
    for attempt in pipeline.plan.ordered():
        last, hashes = pipeline.last_round(attempt, journal_index)
        missing[last.target.label] += last.round > 1 and not journal_index.has_row(
            hashes.result_hash
        )
    return missing


def _plan(plan: Plan) -> dict[str, Any]:
    whole = {name: getattr(plan, name) for name in Plan.__slots__}
    whole["endpoints"] = [asdict(endpoint) for endpoint in plan.endpoints]
    whole["problems"] = {problem.id: problem.sha256 for problem in plan.problems}
    return whole
