"""`llmbench problems list`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmbench import stats
from llmbench.cli.options.problems import ListOptions
from llmbench.errors import UsageError
from llmbench.records import Problem
from llmbench.reports import columns
from llmbench.reports.console import Console
from llmbench.reports.fitting import FittingTable
from llmbench.store import tables
from llmbench.store.dated_results import group_by_date, result_files

if TYPE_CHECKING:
    import polars as pl

DROPPED_FIRST = ("tags", "reference", "wrong answers", "difficulty", "lang")
"""The columns that a narrow terminal does without, the first one first."""


def list_all(options: ListOptions, problems: Sequence[Problem]) -> int:
    """Print one line per problem, with its statistics if results are given.

    Raises:
        UsageError: a result cannot be read, or holds none of the problems as they are now.
    """
    items = _items(options.results, problems) if options.results else None
    statistics = columns.titles(columns.ITEM_STATISTICS) if items is not None else []
    head = ["id", "lang", "difficulty", "reference", "wrong answers", "tags", *statistics]
    table = FittingTable(head, text_columns=6, droppable=DROPPED_FIRST, framed=False)
    by_id = {line["problem_id"]: line for line in items.to_dicts()} if items is not None else {}
    for problem in problems:
        line = by_id.get(problem.id)
        figures = columns.row_cells(columns.ITEM_STATISTICS, line) if line else []
        cells = [
            problem.id,
            problem.lang,
            problem.difficulty or "",
            "yes" if problem.reference is not None else "no",
            str(len(problem.wrong_answers)),
            ", ".join(problem.tags),
            *(figures or [""] * len(statistics)),
        ]
        table.rows.append(cells)
    console = Console(quiet=False)
    console.print_tables([table])
    if items is not None and (sentence := stats.saturation(items)):
        console.print(sentence)
    console.print(f"{len(problems)} problems; llmbench problems show ID")
    return 0


def _items(paths: Sequence[Path], problems: Sequence[Problem]) -> "pl.DataFrame":
    """Return the statistics of these problems, of rows that graded them as they are now."""
    table = stats.latest(
        [(date, tables.load(files, once=True)) for date, files in
         group_by_date(result_files(paths)).items()]
    )  # fmt: skip
    hashes = [problem.sha256 for problem in problems]
    items = stats.item_statistics(table.filter(table["problem_sha256"].is_in(hashes)))
    if items.is_empty():
        names = ", ".join(map(str, paths))
        raise UsageError(f"--results {names}: holds no scored run of these problems as they are")
    return items
