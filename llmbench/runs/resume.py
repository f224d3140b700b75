"""`--resume`: which run, with which flags, and what of it is left to do."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from llmbench import plan as config
from llmbench.attempt import AttemptPipeline
from llmbench.cli.options import run as flags
from llmbench.cli.options.run import Options
from llmbench.errors import UsageError
from llmbench.models.providers import refuse_secrets_in_url
from llmbench.plan import Plan
from llmbench.records import Attempt
from llmbench.reports.console import Console
from llmbench.runs import record
from llmbench.store import journal, provenance
from llmbench.store.journal_index import JournalIndex

LATEST = "latest"


def merge_options(options: Options) -> Options:
    """The flags of the run to resume, with those given now in their place.

    Raises:
        UsageError: there is no such run, or it cannot be gone on with.
    """
    refuse_secrets_in_url(options.base_url or "")  # also where nobody uses it, the flags are kept
    if options.resume is None:
        return options
    folder = _folder(options.resume)
    if not (folder / journal.NAME).exists():
        raise UsageError(
            f"--resume {folder.name}: {folder / journal.NAME} is gone, and with it every answer: "
            "start a new run"
        )
    known = provenance.read(folder)
    try:
        merge_options = flags.merge([*known["commands"], list(options.words)])
    except UsageError as error:  # those given now were read before
        raise UsageError(f"{folder / provenance.NAME}: {error}: start a new run") from None
    return replace(
        merge_options, resume=folder.name, sweep_step=known["sweep_step"], quiet=options.quiet
    )


def find_unfinished(sweep_step: str) -> str | None:
    """The latest run that was begun as this part of something larger, by its name."""
    for folder in reversed(_runs()):
        try:
            if provenance.read(folder)["sweep_step"] == sweep_step:
                return folder.name
        except UsageError:
            continue  # not readable, so not ours
    return None


def session_argv(options: Options, plan: Plan) -> list[list[str]]:
    """The flags of each part of this run, as a later one merges them."""
    session_argv = [list(words) for words in options.commands]
    # A model that was chosen because it was the only one is the model of this run for good.
    if not options.models and not options.targets:
        session_argv[0] += [w for t in plan.targets for w in ("--model", t.model)]
    return session_argv


def report_resume(
    pipeline: AttemptPipeline, versions: Mapping[str, str], console: Console
) -> set[str]:
    """Say what a resumed run has, and what is done again because something changed.

    Returns the labels of the targets that are asked.
    """
    counts: Counter[str] = Counter()
    changed: Counter[tuple[str, str]] = Counter()
    wanted = set()
    index = pipeline.index
    assert index is not None
    before = provenance.read(pipeline.work.path)
    reasons = _reasons(before, pipeline)
    for attempt in pipeline.plan.attempts():
        last, hashes = pipeline.last_round(attempt, index)
        asked, graded = hashes
        counts["known"] += attempt.key in index.problems
        if index.is_done(graded):
            counts["done"] += 1
            continue
        done_again = "graded" if index.is_answered(asked) else "asked"
        counts[done_again] += 1
        if done_again == "asked":
            wanted.add(attempt.target.label)
        if reason := _changed(index, last, hashes, reasons):
            changed[reason, done_again] += 1
    for line in _other_sandbox(before["sessions"][-1], pipeline.sandbox.name, versions):
        console.warn(f"{line}: what is done is kept")
    for (reason, done_again), number in changed.items():
        console.warn(f"{reason}: {number} attempts are {done_again} again")
    left_out = sum(key.round == 1 for key in index.problems) - counts["known"]
    if left_out and before["sweep_step"] is None:  # a sweep has put what is whole into files
        console.warn(f"{left_out} attempts are not in the plan any more, and not in the tables")
    if not counts["graded"] and not counts["asked"]:
        console.info(f"run {pipeline.work.run_id} is complete: nothing is left to do")
        return wanted
    console.info(
        f"resuming {pipeline.work.run_id}: {counts['done']} attempts are done, {counts['graded']} "
        f"answers are graded without asking again, {counts['asked']} are asked"
    )
    return wanted


def _reasons(before: Mapping[str, Any], pipeline: AttemptPipeline) -> Callable[[Attempt], str]:
    """What tells why an attempt is not as it was when this run was last gone on with."""
    plan, templates = before["plan"], record.template_sha256(pipeline)
    targets = [target for endpoint in plan["endpoints"] for target in endpoint["targets"]]
    known = {f"{target['provider']}/{target['model']}": _parameters(target) for target in targets}
    limits = f"{plan['test_timeout']:g}", f"{pipeline.plan.test_timeout:g}"

    def reason(attempt: Attempt) -> str:
        label, lang, sha256 = attempt.target.label, attempt.problem.lang, attempt.problem.sha256
        now = _parameters(asdict(attempt.target))
        was = now | known.get(label, {})
        found = [
            f"{name} was {was[name]}, is {now[name]}" for name in now if was[name] != now[name]
        ]
        if before["prompt_template_sha256"].get(lang, templates[lang]) != templates[lang]:
            found.append(f"the prompt template of {lang} has changed")
        if plan["problems"].get(attempt.problem.id, sha256) != sha256:
            found.append(f"problem {attempt.problem.id} has changed")
        if limits[0] != limits[1]:
            found.append(f"--docker-timeout was {limits[0]}, is {limits[1]}")
        # What was changed earlier still is not told apart by the latest record.
        found = found or ["address, parameters, prompt or time limit have changed"]
        return f"{label}: {'; '.join(found)}"

    return reason


def _parameters(target: Mapping[str, Any]) -> dict[str, Any]:
    return {"base_url": target["base_url"], **target["sampling"], "extra": target["extra"]}


def _other_sandbox(
    before: Mapping[str, Any], sandbox: str, versions: Mapping[str, str]
) -> Iterator[str]:
    """What runs the tests otherwise than before."""
    if before["sandbox"] != sandbox:
        yield f"sandbox was {before['sandbox']}, is {sandbox}"
    for part in sorted(before["versions"].keys() & versions.keys()):
        if before["versions"][part] != versions[part]:
            yield f"{part} was {before['versions'][part]}, is {versions[part]}"


def _changed(
    index: JournalIndex, attempt: Attempt, hashes: tuple[str, str], reason: Callable[[Attempt], str]
) -> str | None:
    """Why an attempt that has an answer or a row is done again, if something has changed."""
    asked, graded = hashes
    if attempt.key not in index.problems or index.has_row(graded):
        return None
    before = index.problems[attempt.key]
    if before is None and index.is_answered(asked):
        return None  # it came to no row yet
    if before not in (None, attempt.problem.sha256):
        return f"problem {attempt.problem.id} has changed"
    return reason(attempt)


def _folder(name: str) -> Path:
    runs = _runs()
    if name == LATEST:
        for folder in reversed(runs):
            if provenance.read(folder)["commands"]:
                return folder
        raise UsageError(f"--resume: no run in {config.WORK_FOLDER}")
    folder = config.WORK_FOLDER / Path(name).name
    if not folder.is_dir():
        there = f" (the latest is {runs[-1].name})" if runs else ""
        raise UsageError(f"--resume {name}: no such run{there}")
    if not provenance.read(folder)["commands"]:
        raise UsageError(f"--resume {name}: it graded answers that were given: do it again")
    return folder


def _runs() -> list[Path]:
    return sorted(path.parent for path in config.WORK_FOLDER.glob(f"*/{provenance.NAME}"))
