"""The end of a run: tables, summary, what is missing, exit code."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from llmbench.attempt import Bench
from llmbench.cli import record
from llmbench.cli.screen import Ended, Screen
from llmbench.errors import OutputError, RunError
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
    stream = tables.stream(lambda: record.rows(bench, screen))
    faults = [str(ended.failure)] if ended.failure else []
    written = []
    try:
        record.end(bench)
    except OutputError as error:
        faults.append(str(error))
    about = record.about(bench)
    for path in out or [bench.work.path / "results.csv"]:
        try:
            tables.write(stream, path, about, bench.work.run_id)
            written.append(path)
        except OutputError as error:
            faults.append(str(error))
    table = tables.figures(stream)
    screen.tell([*summary(table, screen.width)])
    screen.say(*refusals(bench.models))
    # Models of one server tell the same.
    screen.say(*dict.fromkeys(line for model in bench.models.values() for line in model.story))
    screen.say(*(f"rows: {path}" for path in written), f"answers, code, logs: {bench.work.path}")
    missing = plan.size - len(table)
    if missing:
        screen.warn(f"{missing} of {plan.size} attempts have no row: {_why(bench, ended)}")
    if faults:
        raise RunError("\n".join(faults))
    if ended.interrupted:
        return INTERRUPTED
    broken = (table["outcome"] == Outcome.SANDBOX_ERROR.value).any()
    return 1 if missing or bench.stopped or broken or not table["score"].count() else 0


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
        return f"the answers cost {bench.spent:.4f} $, and --max-cost is {bench.plan.max_cost:g}"
    return f"not asked after {', '.join(sorted(bench.stopped))} stopped"
