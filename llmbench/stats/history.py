"""The trend: each night against the night before."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import polars as pl

from llmbench.errors import ResultFileError
from llmbench.stats.comparison import compare
from llmbench.stats.rates import summarize

COLUMNS = (
    *("target", "night", "attempts", "scored", "problems", "pass_rate", "low", "high"),
    *("flaky", "ttft_seconds", "tokens_per_second", "cost_usd", "replayed"),
)
_SINCE = {"difference": pl.Float64, "p_value": pl.Float64, "broken": pl.Int64, "fixed": pl.Int64}


def history(nights: Sequence[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """A line per target and night, in that order; `nights` are named results, the oldest first.

    Columns: `target`, `night`; those of `rates` that make a trend; `recorded`, True where recorded
    answers were replayed; and against the same target's
    night before, on the problems that have not changed: `difference` of the pass rates with its
    `p_value`, and how many problems were `broken` and `fixed`, null where no problem pairs.
    """
    frames = [
        summarize(table, ["target"])
        .with_columns(
            pl.lit(night).alias("night"),
            pl.lit(bool(table["replayed"].any())).alias("replayed"),
        )
        .select(COLUMNS)
        for night, table in nights
        if len(table)
    ]
    if not frames:
        raise ResultFileError("no row in any of the results: nothing to show")
    lines = pl.concat(frames).sort("target", maintain_order=True)
    since = pl.DataFrame(
        list(_since(nights)),
        schema={"target": pl.String, "night": pl.String, **_SINCE},
        orient="row",
    )
    return lines.join(since, on=["target", "night"], how="left", maintain_order="left")


def latest(nights: Sequence[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """The rows of each target in the newest night that has it, by target, problem and run.

    `nights` are named results, the oldest first; the column `night` names each row's.
    """
    named = [table.with_columns(pl.lit(night).alias("night")) for night, table in nights]
    rows = pl.concat(named)
    last = pl.col("night") == pl.col("night").last().over("target")
    return rows.filter(last).sort("target", "lang", "problem_id", "run", maintain_order=True)


def _since(nights: Sequence[tuple[str, pl.DataFrame]]) -> Iterator[dict[str, Any]]:
    """What has changed from each night to the next, target by target."""
    targets = {target: None for _, table in nights for target in table["target"].unique().sort()}
    for target in targets:
        own = [(night, table.filter(pl.col("target") == target)) for night, table in nights]
        for before, after in pairwise(night for night in own if len(night[1])):
            try:
                found = compare([before, after])
            except ResultFileError:  # every problem has changed: there is nothing to tell
                continue
            line = found.differences.select("difference", "p_value").row(0, named=True)
            changes = found.flips["change"].to_list()
            counts = {change: changes.count(change) for change in ("broken", "fixed")}
            yield {"target": target, "night": after[0], **line, **counts}
