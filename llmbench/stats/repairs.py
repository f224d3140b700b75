"""Pass rates by round of repair."""

import polars as pl

from llmbench.stats.intervals import CONFIDENCE
from llmbench.stats.rates import summarize

_RUN = ("target", "problem_id", "run")
_COUNTS = ("attempts", "scored", "passed")
_RATE = ("pass_rate", "ci_low", "ci_high")


def repair_rounds(
    first: pl.DataFrame, repairs: pl.DataFrame, confidence: float = CONFIDENCE
) -> pl.DataFrame:
    """Return one line per target and round, from the rows of first answers and of repairs.

    Columns:
        target: the target.
        round: 1 is the first answer, 2 its first repair.
        attempts, scored, passed: counts of the round's own rows.
        tokens: sum of prompt and completion tokens of the round; null where no row has any.
        cost_usd: sum over the round; null where no row has a cost.
        pass_rate: share of the scored first answers that passed by the end of the round,
            themselves or repaired, in 0..1. Without a repair, or with one that has no score, an
            answer counts as not passed.
        ci_low, ci_high: interval of the pass rate at `confidence`.
    """
    both = pl.concat([first, repairs])
    tokens, cost = pl.col("completion_tokens"), pl.col("cost_usd")
    sums = both.group_by("target", "round").agg(
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
    rates = pl.concat(_rates(table, number, confidence) for number in rounds)
    lines = rates.join(sums, on=["target", "round"], how="left")
    counts = (pl.col(name).fill_null(0).cast(pl.Int64) for name in _COUNTS)
    return lines.select("target", "round", *counts, "tokens", "cost_usd", *_RATE).sort(
        "target", "round"
    )


def _rates(table: pl.DataFrame, number: int, confidence: float) -> pl.DataFrame:
    """Return the pass rate of each target by the end of a round, with its interval."""
    by_then = pl.col("passed_in").le(number).fill_null(value=False)
    passed = pl.when(pl.col("score").is_not_null()).then(by_then).alias("passed")
    lines = summarize(table.with_columns(passed), ["target"], confidence)
    return lines.select("target", pl.lit(number, pl.Int64).alias("round"), *_RATE)
