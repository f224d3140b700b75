"""Trends over dated results: each date against the date before."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from llmbench.errors import ResultFileError
from llmbench.stats.comparison import compare
from llmbench.stats.rates import summarize

_CHANGES = {
    "difference": pl.Float64,
    "p_value": pl.Float64,
    "broken": pl.Int64,
    "fixed": pl.Int64,
}


def history(results: Sequence[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """Return a line per target and date, in that order; `results` are dated, the oldest first.

    Columns:
        target, date: the key of the line.
        attempts and so on: those of `summarize`.
        replayed: True where recorded answers were replayed.
        difference, p_value: pass rate minus that of the target's date before, on the problems that
            have not changed, and its p-value; null where no problem pairs.
        broken, fixed: how many problems changed so since the date before, by more than chance
            explains; null likewise.

    Raises:
        ResultFileError: no result has a row.
    """
    frames = [
        summarize(table, ["target"]).with_columns(
            pl.lit(date).alias("date"), pl.lit(bool(table["replayed"].any())).alias("replayed")
        )
        for date, table in results
        if len(table)
    ]
    if not frames:
        raise ResultFileError("no row in any of the results: nothing to show")
    lines = pl.concat(frames).sort("target", maintain_order=True)
    changes = pl.DataFrame(
        list(_changes(results)),
        schema={"target": pl.String, "date": pl.String, **_CHANGES},
        orient="row",
    )
    key = ["target", "date"]
    return lines.join(changes, on=key, how="left", maintain_order="left").select(
        *key, pl.exclude(key)
    )


def latest(results: Sequence[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """Return the rows of each target at its latest date, by target, problem and run.

    `results` are dated, the oldest first; the column `date` is that of the row's result.
    """
    dated = [table.with_columns(pl.lit(date).alias("date")) for date, table in results]
    rows = pl.concat(dated)
    last = pl.col("date") == pl.col("date").last().over("target")
    return rows.filter(last).sort("target", "lang", "problem_id", "run", maintain_order=True)


def _changes(results: Sequence[tuple[str, pl.DataFrame]]) -> Iterator[dict[str, Any]]:
    """Compare each date of a target with its date before."""
    targets = {target: None for _, table in results for target in table["target"].unique().sort()}
    for target in targets:
        own = [(date, table.filter(pl.col("target") == target)) for date, table in results]
        for before, after in pairwise(result for result in own if len(result[1])):
            try:
                comparison = compare([before, after])
            except ResultFileError:  # every problem has changed
                continue
            line = comparison.differences.select("difference", "p_value").row(0, named=True)
            changes = comparison.flips.filter("finding")["change"].to_list()
            counts = {change: changes.count(change) for change in ("broken", "fixed")}
            yield {"target": target, "date": after[0], **line, **counts}
