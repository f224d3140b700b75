"""The end of a run: tables, summary, what is missing, exit code."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from llmbench.attempt import Bench
from llmbench.cli import record
from llmbench.cli.screen import Ended, Screen
from llmbench.errors import OutputError, RunError, UsageError
from llmbench.models.base import Model
from llmbench.records import Outcome
from llmbench.reports.summary import summary
from llmbench.store import tables

INTERRUPTED = 130


def conclude(out: Sequence[Path], bench: Bench, ended: Ended, screen: Screen) -> int:
    """Write what there is, show it, say what is missing, and return the exit code.

    Raises:
        RunError: the run was cut short, or a table could not be written; the rest was done.
    """
    plan = bench.plan
    faults = [str(ended.failure)] if ended.failure else []
    written = []
    try:
        ledger, about = record.ledger(bench, screen), _ended(bench, faults)
    except UsageError as error:  # somebody has removed the run's folder
        raise RunError("\n".join([*faults, str(error)])) from None
    stream = tables.stream(lambda: record.rows(bench, ledger))
    later = tables.stream(lambda: record.later_rows(bench, ledger)) if plan.repair else None
    for path in out or [bench.work.path / "results.csv"]:
        try:
            written += tables.write_rounds(stream, later, path, about, bench.work.run_id)
        except OutputError as error:
            faults.append(str(error))
    table = tables.figures(stream)
    again = None if later is None else tables.figures(later)
    screen.tell([*summary(table, screen.width, again)])
    screen.say(*refusals(bench.models))
    # Models of one server tell the same.
    screen.say(*dict.fromkeys(line for model in bench.models.values() for line in model.story))
    screen.say(*(f"rows: {path}" for path in written), f"answers, code, logs: {bench.work.path}")
    missing = plan.size - len(table)
    if missing:
        screen.warn(f"{missing} of {plan.size} attempts have no row: {_why(bench, ended)}")
    unrepaired = record.later_missing(bench, ledger).total() if plan.repair else 0
    if unrepaired:
        screen.warn(f"{unrepaired} answers were not asked for again: {_why(bench, ended)}")
    if faults:
        raise RunError("\n".join(faults))
    if ended.interrupted:
        return INTERRUPTED
    rows = [table] if again is None else [table, again]
    broken = any((each["outcome"] == Outcome.SANDBOX_ERROR.value).any() for each in rows)
    scored = table.filter(table["score"].is_not_null())["target"]
    unscored = scored.n_unique() < table["target"].n_unique()
    return 1 if missing or unrepaired or bench.stopped or broken or unscored else 0


def _ended(bench: Bench, faults: list[str]) -> dict[str, str]:
    """What made the run, once its end is written down; that this was not possible is a fault."""
    try:
        record.end(bench)
    except OutputError as error:
        faults.append(str(error))
    return record.about(bench)


def refusals(models: Mapping[str, Model]) -> Iterator[str]:
    """A line for each parameter that a target's server refused."""
    for label, model in models.items():
        for name, instead in model.learned.items():
            done = f"sent as {instead}" if instead else "not sent"
            yield f"{label}: the server refuses {name}, which is {done}"


def _why(bench: Bench, ended: Ended) -> str:
    if ended.interrupted:
        return "the run was interrupted"
    if ended.failure:
        return "the run failed"
    if bench.budget_spent:
        return f"the run cost {bench.spent:.4f} $, and --max-cost is {bench.plan.max_cost:g}"
    if bench.stopped:
        return f"not asked after {', '.join(sorted(bench.stopped))} stopped"
    return "the run ended early, which is a fault of llmbench's own: please report it"
