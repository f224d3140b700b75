"""Repairs: what share passes by each round."""

import polars as pl

from llmbench.stats.intervals import LEVEL
from llmbench.stats.rates import summarize

_RUN = ("target", "problem_id", "run")
_COUNTS = ("attempts", "scored", "passed")


def repair_rounds(first: pl.DataFrame, later: pl.DataFrame, level: float = LEVEL) -> pl.DataFrame:
    """One line per target and round, from the rows of first answers and those of later rounds.

    Columns: `target`; `round`, 1 being the first answer; `attempts` made in it, and how many of
    them were `scored` and `passed`; `tokens`, of prompts and answers, and `cost_usd`: sums over
    the round, null where no row has any; and `pass_rate`, in 0..1, with `low` and `high`, its
    interval at `level`: the share of the scored first answers that passed, themselves or repaired,
    by the end of the round. One that was not asked for again has not passed, nor one whose repair
    was not scored.
    """
    both = pl.concat([first, later])
    tokens, cost = pl.col("completion_tokens"), pl.col("cost_usd")
    made = both.group_by("target", "round").agg(
        pl.len().alias("attempts"),
        pl.col("score").count().alias("scored"),
        pl.col("passed").sum(),
        pl.when(tokens.count() > 0)
        .then(tokens.sum() + pl.col("prompt_tokens").sum())
        .alias("tokens"),
        pl.when(cost.count() > 0).then(cost.sum()),
    )
    passes = both.filter("passed").group_by(_RUN).agg(pl.col("round").min().alias("passed_in"))
    table = first.join(passes, on=_RUN, how="left")
    rounds = both["round"].unique().sort()
    shares = pl.concat(_shares(table, number, level) for number in rounds)
    lines = shares.join(made, on=["target", "round"], how="left")
    counts = (pl.col(name).fill_null(0).cast(pl.Int64) for name in _COUNTS)
    return lines.select(
        "target", "round", *counts, "tokens", "cost_usd", "pass_rate", "low", "high"
    ).sort("target", "round")


def _shares(table: pl.DataFrame, number: int, level: float) -> pl.DataFrame:
    """The pass rate of each target by the end of a round, with its interval."""
    by_then = pl.col("passed_in").le(number).fill_null(value=False)
    passed = pl.when(pl.col("score").is_not_null()).then(by_then).alias("passed")
    found = summarize(table.with_columns(passed), ["target"], level)
    return found.select(
        "target", pl.lit(number, pl.Int64).alias("round"), "pass_rate", "low", "high"
    )
