"""`--resume`: which run, with which flags, and what of it is left to do."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmbench import config, prompts
from llmbench.attempt import Bench
from llmbench.cli.options import run as flags
from llmbench.cli.options.run import Options
from llmbench.cli.screen import Screen
from llmbench.config import Plan
from llmbench.errors import UsageError
from llmbench.records import Attempt, Row
from llmbench.store import provenance
from llmbench.store.ledger import Ledger
from llmbench.store.work import WorkFolder

LATEST = "latest"


def merged(options: Options) -> Options:
    """The flags of the run to resume, with those given now in their place.

    Raises:
        UsageError: there is no such run.
    """
    address = urlsplit(options.base_url or "")
    if address.username or address.password:
        raise UsageError(
            "--base-url: holds a name or password, and would be written down: use a key"
        )
    if options.resume is None:
        return options
    folder = _folder(options.resume)
    record = provenance.read(folder)
    merged = flags.merge([*record["commands"], list(options.words)])
    return replace(merged, resume=folder.name, part_of=record.get("part_of"))


def unfinished(part_of: str) -> str | None:
    """The latest run that was begun as this part of something larger, by its name."""
    for folder in reversed(_runs()):
        try:
            if provenance.read(folder).get("part_of") == part_of:
                return folder.name
        except UsageError:
            continue  # not readable, so not ours
    return None


def work_folder(options: Options) -> WorkFolder:
    """The folder of a new run, or of the one to resume."""
    return WorkFolder(config.WORK_FOLDER, options.resume)


def begin(options: Options, bench: Bench) -> None:
    """Write `run.json` before anything is asked.

    Raises:
        OutputError: it cannot be written.
    """
    plan = bench.plan
    commands = [list(words) for words in options.commands]
    # A model that was chosen because it was the only one is the model of this run for good.
    if not options.models:
        commands[0] += [w for t in plan.targets for w in ("--model", t.model)]
    before = provenance.read(bench.work.path)["sessions"] if options.resume else []
    session: dict[str, str | None] = {
        "start": provenance.now(),
        "end": None,
        **provenance.machine(),
    }
    session["sandbox"] = bench.sandbox.name
    record: dict[str, Any] = {"run": bench.work.run_id, "commands": commands, "plan": _plan(plan)}
    record["part_of"] = options.part_of
    template = json.dumps(
        [prompts.SYSTEM, {k: r.about.instructions for k, r in bench.runners.items()}]
    )
    record["prompt_template_sha256"] = prompts.sha256(template)
    record["images"] = {lang: r.about.image for lang, r in bench.runners.items()}
    record["sessions"] = [*before, session]
    provenance.write(bench.work.path, record)


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


def tell(bench: Bench, screen: Screen) -> None:
    """Say what a resumed run has, and what is done again because something changed."""
    counts: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    ledger = bench.ledger
    assert ledger is not None
    for attempt in bench.plan.attempts():
        asked, graded = bench.identity(attempt)
        if ledger.is_done(graded):
            counts["done"] += 1
            continue
        counts["graded" if ledger.is_answered(asked) else "asked"] += 1
        reason = _changed(ledger, attempt, graded)
        if reason:
            changed[reason] += 1
    for reason, number in changed.items():
        screen.warn(f"{reason} since: {number} attempts are done again")
    if not counts["graded"] and not counts["asked"]:
        screen.note(f"run {bench.work.run_id} is complete: nothing is left to do")
        return
    screen.note(
        f"resuming {bench.work.run_id}: {counts['done']} attempts are done, {counts['graded']} "
        f"answers are graded without asking again, {counts['asked']} are asked"
    )


def rows(bench: Bench, screen: Screen) -> Iterator[Row]:
    """The latest row of each attempt of the plan, by target, language, problem and run."""
    heard = (lambda _: None) if bench.ledger is not None else screen.warn
    ledger = Ledger(bench.journal.path, heard)
    with ledger.rows() as find:
        for attempt in _sorted(bench.plan):
            row = find(bench.identity(attempt)[1])
            if row is not None:
                yield row


def _sorted(plan: Plan) -> Iterator[Attempt]:
    for target in sorted(plan.targets, key=lambda t: t.label):
        for problem in sorted(plan.problems, key=lambda p: (p.lang, p.id)):
            for run in range(1, plan.runs + 1):
                yield Attempt(target, problem, run)


def _changed(ledger: Ledger, attempt: Attempt, graded: str) -> str | None:
    before = ledger.problems.get(attempt.key)
    if before is None or ledger.has_row(graded):
        return None
    if before != attempt.problem.sha256:
        return f"problem {attempt.problem.id} has changed"
    return f"address, parameters, prompt or time limit of {attempt.target.label} have changed"


def _folder(name: str) -> Path:
    runs = _runs()
    if not runs:
        raise UsageError(f"--resume: no run in {config.WORK_FOLDER}")
    if name == LATEST:
        return runs[-1]
    for folder in runs:
        if folder.name == Path(name).name:
            return folder
    raise UsageError(f"--resume {name}: no such run (the latest is {runs[-1].name})")


def _runs() -> list[Path]:
    return sorted(path.parent for path in config.WORK_FOLDER.glob(f"*/{provenance.NAME}"))


def _plan(plan: Plan) -> dict[str, Any]:
    whole = {name: getattr(plan, name) for name in plan.__slots__}
    whole["targets"] = [asdict(target) for target in plan.targets]
    whole["problems"] = {problem.id: problem.sha256 for problem in plan.problems}
    return whole
