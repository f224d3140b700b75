"""`llmbench show`: one attempt with its repairs, as far as their texts still exist."""

from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

from llmbench.cli.options.show import ShowOptions
from llmbench.errors import ResultFileError
from llmbench.records import Row
from llmbench.reports.attempt import attempt, repair
from llmbench.reports.console import Console
from llmbench.reports.sections import AttemptSections
from llmbench.reports.summary import details
from llmbench.runners import load_all
from llmbench.store import artifacts, tables
from llmbench.store.artifacts import AttemptArtifacts

if TYPE_CHECKING:
    import polars as pl


def main(options: ShowOptions) -> int:
    """Show an attempt, or the tables of all, and return the exit code.

    Raises:
        UsageError: there is no such attempt, or several fit.
    """
    table = tables.load([options.result], once=True)
    console = Console(quiet=False)
    if options.problem is None:
        console.print_tables(details(_of_target(table, options.target), console.width))
        return 0
    runs = _runs(options, tables.rows(table))
    row = next((row for row in runs if row.run == options.run), None)
    if row is None:
        known = ", ".join(f"#{row.run}" for row in runs)
        raise ResultFileError(
            f"{options.problem_id}#{options.run}: no such run; there are: {known}"
        )
    rounds = [row, *_repairs(table, row)]
    folders = artifacts.work_folders(options.result.parent, options.work_dirs)
    stored = dict(artifacts.find_artifacts(rounds, folders))
    first = stored.get(0, AttemptArtifacts())
    texts = AttemptSections.load(options.problem_paths, load_all(options.runner_paths))
    outcomes = [f"#{each.run} {each.outcome.replace('_', ' ')}" for each in runs]
    console.print_raw(attempt(row, outcomes, list(texts.sections(row, first))))
    for i, (before, after) in enumerate(pairwise(rounds), 1):
        sections = texts.sections(after, stored.get(i, AttemptArtifacts()), before)
        console.print_raw(repair(after, list(sections)))
    if first.work is not None:
        console.print("", f"kept in: {first.work}")
    return 0


def _of_target(table: tables.Table, target: str | None) -> "pl.DataFrame":
    """Return the rows of one target, or of all if none is named."""
    rows = tables.without_logs(table.lazy())
    if target is None:
        return rows
    chosen = rows.filter((rows["target"] == target) | (rows["model"] == target))
    if chosen.is_empty():
        known = ", ".join(rows["target"].unique(maintain_order=True))
        raise ResultFileError(f"{target}: no such target: choose with --target from {known}")
    return chosen


def _repairs(table: tables.Table, first: Row) -> list[Row]:
    """Return the repairs of an attempt in their order; none if the result has no repair file."""
    with_repairs = tables.with_repairs(table)
    rows = tables.rows(with_repairs[1]) if with_repairs else []
    key = attrgetter("target", "problem_id", "run")
    return sorted((row for row in rows if key(row) == key(first)), key=lambda row: row.round)


def _runs(options: ShowOptions, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of one problem and target, in the order of their runs."""
    runs = [row for row in rows if row.problem_id == options.problem_id]
    if not runs:
        known = ", ".join(sorted({row.problem_id for row in rows}))
        raise ResultFileError(
            f"{options.problem_id}: no such problem in {options.result}; there are: {known}"
        )
    targets = sorted({row.target for row in runs})
    if options.target is not None:
        runs = [row for row in runs if options.target in (row.target, row.model)]
    if len({row.target for row in runs}) != 1:
        problem = "several targets" if runs else f"{options.target}: no such target"
        raise ResultFileError(f"{problem}: choose with --target from {', '.join(targets)}")
    return sorted(runs, key=lambda row: row.run)
