"""The end of a run: tables, summary, missing attempts, exit code."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote

from llmbench.errors import OutputError, RunError, UsageError
from llmbench.models.base import Model
from llmbench.records import Outcome
from llmbench.reports.console import Console
from llmbench.reports.summary import summary
from llmbench.runs import record
from llmbench.runs.run import Run
from llmbench.runs.tokens import cut_prompts
from llmbench.store import tables
from llmbench.texts import counted

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def finish_run(out: Sequence[Path], run: Run, console: Console) -> int:
    """Write the tables, print the summary, and return the exit code.

    Raises:
        RunError: the run was cut short, or a table could not be written; the rest was done.
    """
    faults = [str(run.status.failure)] if run.status.failure else []
    try:
        metadata = _end_record(run, faults)
    except UsageError as error:  # somebody has removed the run's folder
        raise RunError("\n".join([*faults, str(error)])) from None
    first = tables.scan_rows(run.view.rows)
    repairs = tables.scan_rows(run.view.repairs) if run.plan.max_repairs else None
    written: list[Path] = []
    for path in out or [run.directory.path / "results.csv"]:
        try:
            written += tables.write_with_repairs(
                first, repairs, path, metadata, run.directory.run_id
            )
        except OutputError as error:
            faults.append(str(error))
    table = tables.without_logs(first)
    repaired = None if repairs is None else tables.without_logs(repairs)
    console.print_tables([*summary(table, console.width, repaired)])
    _print_notes(run, written, console)
    if console.quiet:  # the summary says it otherwise
        _warn_of_unscored(table, console)
    missing, repairs_missing = _warn_of_missing(run, len(table), console)
    if faults:
        raise RunError("\n".join(faults))
    if run.status.interrupted:
        return INTERRUPTED
    all_tables = [table] if repaired is None else [table, repaired]
    failed = missing or repairs_missing or run.pipeline.stopped_targets
    return 1 if failed or _has_sandbox_error(all_tables) or _has_unscored_target(table) else 0


def _end_record(run: Run, faults: list[str]) -> dict[str, str]:
    """Write the end of the run into its record, and return the record; a failure is a fault."""
    try:
        record.end(run)
    except OutputError as error:
        faults.append(str(error))
    return record.metadata(run)


def _print_notes(run: Run, written: Sequence[Path], console: Console) -> None:
    console.print(*run.view.until.report(), *refused_params(run.models))
    # Models of one server have the same notes.
    for line in cut_prompts(run):
        console.warn(line)
    notes = (line for model in run.models.values() for line in model.limit_notes)
    console.print(*dict.fromkeys(notes))
    console.print(
        *(f"rows: {path}" for path in written), f"answers, code, logs: {run.directory.path}"
    )
    if written:
        console.print(f"each problem: llmbench show {quote(str(written[0]))}")


def refused_params(models: Mapping[str, Model]) -> Iterator[str]:
    """Yield a line for each parameter that a target's server refused."""
    for label, model in models.items():
        for name, replacement in model.unsupported_params.items():
            instead = f"sent as {replacement}" if replacement else "not sent"
            yield f"{label}: the server refuses {name}, which is {instead}"


def _warn_of_missing(run: Run, rows: int, console: Console) -> tuple[int, int]:
    """Warn of attempts without a row and of answers without their repair; returns their numbers."""
    needed = run.view.until.size
    missing = needed - rows
    if missing:
        console.warn(f"{missing} of {needed} attempts have no row: {_reason(run)}")
    repairs = run.view.missing_repairs().total()
    if repairs:
        console.warn(
            f"{counted(repairs, 'answer was', 'answers were')} not asked for again: {_reason(run)}"
        )
    return missing, repairs


def _warn_of_unscored(table: tables.Table, console: Console) -> None:
    """Warn of attempts without a score, with the reason of the first."""
    unscored = table.filter(table["score"].is_null())
    if len(unscored):
        first = next(iter(unscored["log_head"][0].splitlines()), "")
        console.warn(f"{len(unscored)} of {len(table)} attempts have no score: {first}")


def _reason(run: Run) -> str:
    pipeline, plan = run.pipeline, run.plan
    if run.status.interrupted:
        return "the run was interrupted"
    if run.status.failure:
        return "the run failed"
    if pipeline.budget_exhausted:
        return f"the run cost {pipeline.cost_usd:.4f} $, and --max-cost is {plan.max_cost:g}"
    if pipeline.stopped_targets:
        return f"not asked after {', '.join(sorted(pipeline.stopped_targets))} stopped"
    return "the run ended early, which is a fault of llmbench: please report it"


def _has_sandbox_error(all_tables: Sequence[tables.Table]) -> bool:
    return any((table["outcome"] == Outcome.SANDBOX_ERROR.value).any() for table in all_tables)


def _has_unscored_target(table: tables.Table) -> bool:
    """True if some target has rows and none of them is scored."""
    scored = table.filter(table["score"].is_not_null())["target"]
    return scored.n_unique() < table["target"].n_unique()
