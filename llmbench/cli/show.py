"""`llmbench show`: one attempt, as far as it is still there."""

from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter

from llmbench.cli.options.show import ShowOptions
from llmbench.errors import ResultFileError
from llmbench.records import Row
from llmbench.reports.attempt import attempt, later_round
from llmbench.reports.console import Console
from llmbench.reports.sections import AttemptSections
from llmbench.runners import load_all
from llmbench.store import artifacts, tables
from llmbench.store.artifacts import AttemptArtifacts


def main(options: ShowOptions) -> int:
    """Show an attempt and return the exit code.

    Raises:
        UsageError: there is no such attempt, or several fit.
    """
    table = tables.load([options.result], once=True)
    runs = _runs(options, tables.rows(table))
    row = next((row for row in runs if row.run == options.run), None)
    if row is None:
        known = ", ".join(f"#{row.run}" for row in runs)
        raise ResultFileError(
            f"{options.problem_id}#{options.run}: no such run; there are: {known}"
        )
    rounds = [row, *_later(table, row)]
    found = dict(
        artifacts.find_artifacts(
            rounds, artifacts.work_folders(options.result.parent, options.work_dirs)
        )
    )
    first = found.get(0, AttemptArtifacts())
    texts = AttemptSections.load(options.problem_paths, load_all(options.runners))
    outcomes = [f"#{each.run} {each.outcome.replace('_', ' ')}" for each in runs]
    console = Console(quiet=False)
    console.print_raw(attempt(row, outcomes, list(texts.sections(row, first))))
    for place, (before, after) in enumerate(pairwise(rounds), 1):
        sections = texts.sections(after, found.get(place, AttemptArtifacts()), before)
        console.print_raw(later_round(after, list(sections)))
    if first.work is not None:
        console.print("", f"kept in: {first.work}")
    return 0


def _later(table: tables.Table, first: Row) -> list[Row]:
    """The later rounds of an attempt, in their order, where the file beside has some."""
    both = tables.with_repairs(table)
    rows = tables.rows(both[1]) if both else []
    same = attrgetter("target", "problem_id", "run")
    return sorted((row for row in rows if same(row) == same(first)), key=lambda row: row.round)


def _runs(options: ShowOptions, rows: Sequence[Row]) -> list[Row]:
    """The rows of one problem and target, in the order of their runs."""
    asked = [row for row in rows if row.problem_id == options.problem_id]
    if not asked:
        known = ", ".join(sorted({row.problem_id for row in rows}))
        raise ResultFileError(
            f"{options.problem_id}: no such problem in {options.result}; there are: {known}"
        )
    targets = sorted({row.target for row in asked})
    if options.target is not None:
        asked = [row for row in asked if options.target in (row.target, row.model)]
    if len({row.target for row in asked}) != 1:
        wrong = f"{options.target}: no such target" if not asked else "several targets"
        raise ResultFileError(f"{wrong}: choose with --target from {', '.join(targets)}")
    return sorted(asked, key=lambda row: row.run)
