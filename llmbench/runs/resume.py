"""`--resume`: the run to continue, its options, and a report of what is done again."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmbench.errors import UsageError
from llmbench.models.providers import refuse_secrets_in_url
from llmbench.plan import WORK_FOLDER
from llmbench.records import Attempt, target_label
from llmbench.reports.console import Console
from llmbench.runs import record
from llmbench.runs.options import LATEST, RunOptions
from llmbench.runs.view import Change
from llmbench.store import journal, provenance
from llmbench.texts import counted

if TYPE_CHECKING:
    from llmbench.runs.run import Run

MAX_VALUE_CHARS = 60
"""Longest value of a changed parameter that is printed whole: system prompts are long."""


def merge_options(options: RunOptions) -> RunOptions:
    """Return the options of the run to resume, replaced by those that are given now.

    Raises:
        UsageError: there is no such run, or it cannot be continued.
    """
    refuse_secrets_in_url(options.base_url or "")  # even an unused address is written down
    if options.resume is None:
        return options
    folder = _folder(options.resume)
    if not (folder / journal.NAME).exists():
        raise UsageError(
            f"--resume {folder.name}: {folder / journal.NAME} is gone, and with it every answer",
            hint="start a new run",
        )
    try:
        stored = record.options_of(provenance.read(folder))
        merged = {**stored, **options.explicit, "quiet": options.quiet, "resume": folder.name}
        return RunOptions.from_values(merged)
    except UsageError as error:  # the options given now were checked before
        where = folder / provenance.NAME
        raise UsageError(f"{where}: {error.message}", hint="start a new run") from None


def find_unfinished(sweep_step: str) -> str | None:
    """Return the name of the latest run that was begun as this step of a sweep, or None."""
    for folder in reversed(_runs()):
        try:
            if provenance.read(folder)["sweep_step"] == sweep_step:
                return folder.name
        except UsageError:
            continue  # not readable, so not ours
    return None


def report_resume(run: "Run", versions: Mapping[str, str], console: Console) -> frozenset[str]:
    """Print what a resumed run has, and what is done again because something changed.

    Returns the labels of the targets that are asked.
    """
    earlier = provenance.read(run.directory.path)
    reason = _reasons(earlier, run)
    repeated: Counter[tuple[str, bool]] = Counter()

    def count(change: Change) -> None:
        if change.problem_changed:
            why = f"problem {change.attempt.problem.id} has changed"
        else:
            why = reason(change.attempt)
        repeated[why, change.only_graded] += 1

    remaining = run.view.resume(count)
    for line in _other_sandbox(earlier["sessions"][-1], run.sandbox.name, versions):
        console.warn(f"{line}: finished attempts are kept")
    for (why, only_graded), number in repeated.items():
        action = "graded" if only_graded else "asked"
        console.warn(f"{why}: {counted(number, 'attempt is', 'attempts are')} {action} again")
    outside = run.view.outside_plan()
    if outside and earlier["sweep_step"] is None:  # a sweep has written the complete targets
        are = counted(outside, "attempt is", "attempts are")
        console.warn(f"{are} not in the plan any more, and not in the tables")
    name = run.directory.run_id
    if not remaining.to_grade and not remaining.to_ask:
        console.info(f"run {name} is complete: nothing remains to be done")
    else:
        console.info(
            f"resuming {name}: {counted(remaining.done, 'attempt is', 'attempts are')} done, "
            f"{counted(remaining.to_grade, 'answer is', 'answers are')} graded without asking "
            f"again, {counted(remaining.to_ask, 'is', 'are')} asked"
        )
    return remaining.targets


def _reasons(earlier: Mapping[str, Any], run: "Run") -> Callable[[Attempt], str]:
    """Return a function that says why an attempt differs from the last part of the run."""
    plan, templates = earlier["plan"], record.template_sha256(run)
    targets = [target for endpoint in plan["endpoints"] for target in endpoint["targets"]]
    known = {_label(target): _parameters(target) for target in targets}
    limits = f"{plan['test_timeout']:g}", f"{run.plan.test_timeout:g}"

    def reason(attempt: Attempt) -> str:
        label, lang, sha256 = attempt.target.label, attempt.problem.lang, attempt.problem.sha256
        now = _parameters(asdict(attempt.target))
        before = now | known.get(label, {})
        reasons = [
            f"{name} was {_short(before[name])}, is {_short(now[name])}"
            for name in now
            if before[name] != now[name]
        ]
        if earlier["prompt_template_sha256"].get(lang, templates[lang]) != templates[lang]:
            reasons.append(f"the prompt template of {lang} has changed")
        if plan["problems"].get(attempt.problem.id, sha256) != sha256:
            reasons.append(f"problem {attempt.problem.id} has changed")
        if limits[0] != limits[1]:
            reasons.append(f"--test-timeout was {limits[0]}, is {limits[1]}")
        # The latest record does not show changes before it.
        reasons = reasons or ["address, parameters, prompt or time limit have changed"]
        return f"{label}: {'; '.join(reasons)}"

    return reason


def _label(target: Mapping[str, Any]) -> str:
    return target_label(target["provider"], target["model"], target.get("variant"))


def _parameters(target: Mapping[str, Any]) -> dict[str, Any]:
    sampling = {n: value for n, value in target["sampling"].items() if n != "system_sha256"}
    return {"base_url": target["base_url"], **sampling, "extra": target["extra"]}


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]!r}…"


def _other_sandbox(
    session: Mapping[str, Any], sandbox: str, versions: Mapping[str, str]
) -> Iterator[str]:
    """Yield a line for each part of the sandbox that is not as it was in this session."""
    if session["sandbox"] != sandbox:
        yield f"sandbox was {session['sandbox']}, is {sandbox}"
    for part in sorted(session["versions"].keys() & versions.keys()):
        if session["versions"][part] != versions[part]:
            yield f"{part} was {session['versions'][part]}, is {versions[part]}"


def _folder(name: str) -> Path:
    runs = _runs()
    if name == LATEST:
        for folder in reversed(runs):
            if record.is_resumable(provenance.read(folder)):
                return folder
        raise UsageError(f"--resume: no run in {WORK_FOLDER}")
    folder = WORK_FOLDER / Path(name).name
    if not folder.is_dir():
        latest = f" (the latest is {runs[-1].name})" if runs else ""
        raise UsageError(f"--resume {name}: no such run{latest}")
    if not record.is_resumable(provenance.read(folder)):
        raise UsageError(f"--resume {name}: it graded answers from a file", hint="grade them again")
    return folder


def _runs() -> list[Path]:
    return sorted(path.parent for path in WORK_FOLDER.glob(f"*/{provenance.NAME}"))
