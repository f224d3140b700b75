"""The end of a run: tables, summary, what is missing, exit code."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from llmbench.attempt import AttemptPipeline
from llmbench.errors import OutputError, RunError, UsageError
from llmbench.models.base import Model
from llmbench.records import Outcome
from llmbench.reports.console import Console, RunStatus
from llmbench.reports.summary import summary
from llmbench.runs import record
from llmbench.store import tables

INTERRUPTED = 130


def finish_run(
    out: Sequence[Path], pipeline: AttemptPipeline, ended: RunStatus, console: Console
) -> int:
    """Write what there is, show it, say what is missing, and return the exit code.

    Raises:
        RunError: the run was cut short, or a table could not be written; the rest was done.
    """
    plan = pipeline.plan
    faults = [str(ended.failure)] if ended.failure else []
    written = []
    try:
        index, about = record.journal_index(pipeline, console), _ended(pipeline, faults)
    except UsageError as error:  # somebody has removed the run's folder
        raise RunError("\n".join([*faults, str(error)])) from None
    stream = tables.scan_rows(lambda: record.rows(pipeline, index))
    later = (
        tables.scan_rows(lambda: record.repair_rows(pipeline, index)) if plan.max_repairs else None
    )
    for path in out or [pipeline.work.path / "results.csv"]:
        try:
            written += tables.write_with_repairs(stream, later, path, about, pipeline.work.run_id)
        except OutputError as error:
            faults.append(str(error))
    table = tables.without_logs(stream)
    again = None if later is None else tables.without_logs(later)
    console.print_tables([*summary(table, console.width, again)])
    console.print(*refusals(pipeline.models))
    # Models of one server tell the same.
    console.print(
        *dict.fromkeys(line for model in pipeline.models.values() for line in model.limit_notes)
    )
    console.print(
        *(f"rows: {path}" for path in written), f"answers, code, logs: {pipeline.work.path}"
    )
    missing = plan.size - len(table)
    if missing:
        console.warn(f"{missing} of {plan.size} attempts have no row: {_why(pipeline, ended)}")
    unrepaired = record.missing_repairs(pipeline, index).total() if plan.max_repairs else 0
    if unrepaired:
        console.warn(f"{unrepaired} answers were not asked for again: {_why(pipeline, ended)}")
    if faults:
        raise RunError("\n".join(faults))
    if ended.interrupted:
        return INTERRUPTED
    rows = [table] if again is None else [table, again]
    broken = any((each["outcome"] == Outcome.SANDBOX_ERROR.value).any() for each in rows)
    scored = table.filter(table["score"].is_not_null())["target"]
    unscored = scored.n_unique() < table["target"].n_unique()
    return 1 if missing or unrepaired or pipeline.stopped_targets or broken or unscored else 0


def _ended(pipeline: AttemptPipeline, faults: list[str]) -> dict[str, str]:
    """What made the run, once its end is written down; that this was not possible is a fault."""
    try:
        record.end(pipeline)
    except OutputError as error:
        faults.append(str(error))
    return record.about(pipeline)


def refusals(models: Mapping[str, Model]) -> Iterator[str]:
    """A line for each parameter that a target's server refused."""
    for label, model in models.items():
        for name, instead in model.unsupported_params.items():
            done = f"sent as {instead}" if instead else "not sent"
            yield f"{label}: the server refuses {name}, which is {done}"


def _why(pipeline: AttemptPipeline, ended: RunStatus) -> str:
    if ended.interrupted:
        return "the run was interrupted"
    if ended.failure:
        return "the run failed"
    if pipeline.budget_exhausted:
        return (
            f"the run cost {pipeline.cost_usd:.4f} $, and --max-cost is {pipeline.plan.max_cost:g}"
        )
    if pipeline.stopped_targets:
        return f"not asked after {', '.join(sorted(pipeline.stopped_targets))} stopped"
    return "the run ended early, which is a fault of llmbench's own: please report it"
