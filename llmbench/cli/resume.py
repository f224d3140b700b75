"""`--resume`: which run, with which flags, and what of it is left to do."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from llmbench import config
from llmbench.attempt import Bench
from llmbench.cli.options import run as flags
from llmbench.cli.options.run import Options
from llmbench.cli.screen import Screen
from llmbench.config import Plan
from llmbench.errors import UsageError
from llmbench.records import Attempt
from llmbench.store import provenance
from llmbench.store.ledger import Ledger

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


def commands(options: Options, plan: Plan) -> list[list[str]]:
    """The flags of each part of this run, as a later one merges them."""
    commands = [list(words) for words in options.commands]
    # A model that was chosen because it was the only one is the model of this run for good.
    if not options.models and not options.targets:
        commands[0] += [w for t in plan.targets for w in ("--model", t.model)]
    return commands


def tell(bench: Bench, versions: Mapping[str, str], screen: Screen) -> None:
    """Say what a resumed run has, and what is done again because something changed."""
    counts: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    ledger = bench.ledger
    assert ledger is not None
    for attempt in bench.plan.attempts():
        last, (asked, graded) = bench.last_round(attempt, ledger)
        if ledger.is_done(graded):
            counts["done"] += 1
            continue
        counts["graded" if ledger.is_answered(asked) else "asked"] += 1
        reason = _changed(ledger, last, graded)
        if reason:
            changed[reason] += 1
    before = provenance.read(bench.work.path)["sessions"][-1].get("versions", {})
    for part in sorted(before.keys() & versions.keys()):
        if before[part] != versions[part]:
            screen.warn(f"{part} was {before[part]}, is {versions[part]}: what is done is kept")
    for reason, number in changed.items():
        screen.warn(f"{reason} since: {number} attempts are done again")
    if not counts["graded"] and not counts["asked"]:
        screen.note(f"run {bench.work.run_id} is complete: nothing is left to do")
        return
    screen.note(
        f"resuming {bench.work.run_id}: {counts['done']} attempts are done, {counts['graded']} "
        f"answers are graded without asking again, {counts['asked']} are asked"
    )


def _changed(ledger: Ledger, attempt: Attempt, graded: str) -> str | None:
    before = ledger.problems.get(attempt.key)
    if before is None or ledger.has_row(graded):
        return None
    if before != attempt.problem.sha256:
        return f"problem {attempt.problem.id} has changed"
    return f"address, parameters, prompt or time limit of {attempt.target.label} have changed"


def _folder(name: str) -> Path:
    runs = _runs()
    if name == LATEST:
        for folder in reversed(runs):
            if provenance.read(folder)["commands"]:
                return folder
        raise UsageError(f"--resume: no run in {config.WORK_FOLDER}")
    for folder in runs:
        if folder.name == Path(name).name:
            if not provenance.read(folder)["commands"]:
                raise UsageError(f"--resume {name}: it graded answers that were given: do it again")
            return folder
    there = f" (the latest is {runs[-1].name})" if runs else ""
    raise UsageError(f"--resume {name}: no such run{there}")


def _runs() -> list[Path]:
    return sorted(path.parent for path in config.WORK_FOLDER.glob(f"*/{provenance.NAME}"))
