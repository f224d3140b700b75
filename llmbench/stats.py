"""Rates over result rows (pure)."""

from collections.abc import Sequence

import polars as pl

from llmbench.records import Outcome


def rates(table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """One line per group of result rows, in the order in which the groups appear.

    Columns, beside those of `by`: `attempts`; `scored` (rows with a score); `pass_rate` in 0..1
    and `std_score`, the population standard deviation of score in points, both over scored rows
    and null where there is none; `ttft_seconds` and `tokens_per_second`, medians; `cost_usd`, a
    sum, null where no row has a cost; and one count per outcome, under the outcome's name.
    """
    outcome = pl.col("outcome")
    return table.group_by(by, maintain_order=True).agg(
        pl.len().alias("attempts"),
        pl.col("score").count().alias("scored"),
        pl.col("passed").mean().alias("pass_rate"),
        # polars may give 0 for a group that holds nulls alone.
        pl.when(pl.col("score").count() > 0).then(pl.col("score").std(ddof=0)).alias("std_score"),
        pl.col("ttft_seconds").median(),
        pl.col("tokens_per_second").median(),
        pl.when(pl.col("cost_usd").count() > 0).then(pl.col("cost_usd").sum()).alias("cost_usd"),
        *((outcome == name.value).sum().alias(name.value) for name in Outcome),
    )
