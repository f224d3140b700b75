"""Rates over result rows: one line per group, whatever the groups are."""

import math
from collections.abc import Sequence
from statistics import fmean

import polars as pl

from llmbench.records import Outcome
from llmbench.stats.intervals import (
    LEVEL,
    Interval,
    bootstrap,
    clustered_error,
    clustered_interval,
    wilson,
)

PERCENTILES = (10, 50, 90, 99)
SPEEDS = ("ttft_seconds", "ttfa_seconds", "tokens_per_second", "llm_seconds")
ANSWERED = pl.col("outcome") != Outcome.PROVIDER_ERROR.value
"""Rows of an answer: the others have at most what was paid for none."""

_PRICED = pl.col("score").is_not_null() & pl.col("cost_usd").is_not_null()
_ERROR = {"std_error": pl.Float64, "low": pl.Float64, "high": pl.Float64}


def summarize(table: pl.DataFrame, by: Sequence[str], level: float = LEVEL) -> pl.DataFrame:
    """One line per group of result rows, in the order in which the groups appear.

    Columns, beside those of `by`: `attempts`; `scored` (rows with a score); `problems` (with a
    score); `pass_rate` in 0..1 and `std_score`, the population standard deviation of score in
    points, both over scored rows and null where there is none; `std_error` of the pass rate, and
    `low` and `high`, its interval at `level`, clustered by problem, or over the runs where the
    group is a single problem; `flaky`, the share of problems of two or more scored runs that
    neither always pass nor always fail; `ttft_seconds` and `tokens_per_second`, medians;
    `cost_usd`, a sum, null where no row has a cost; `cost_per_solved_usd`, what the scored answers
    cost over how many of them passed, null where none did: what it takes, on average, to get an
    answer that passes; and one count per outcome, under the outcome's name.
    """
    outcome, cost = pl.col("outcome"), pl.col("cost_usd")
    solved = pl.col("passed").filter(_PRICED).sum()
    lines = table.group_by(by, maintain_order=True).agg(
        pl.len().alias("attempts"),
        pl.col("score").count().alias("scored"),
        pl.col("problem_id").filter(pl.col("score").is_not_null()).n_unique().alias("problems"),
        pl.col("passed").mean().alias("pass_rate"),
        # polars may give 0 for a group that holds nulls alone.
        pl.when(pl.col("score").count() > 0).then(pl.col("score").std(ddof=0)).alias("std_score"),
        pl.col("ttft_seconds").median(),
        pl.col("tokens_per_second").median(),
        pl.when(cost.count() > 0).then(cost.sum()).alias("cost_usd"),
        pl.when(solved > 0).then(cost.filter(_PRICED).sum() / solved).alias("cost_per_solved_usd"),
        *((outcome == name.value).sum().alias(name.value) for name in Outcome),
    )
    lines = lines.join(_clusters(table, by), on=by, how="left", nulls_equal=True)
    errors = [_error(line["c"], line["n"], level) for line in lines.iter_rows(named=True)]
    lines = pl.concat([lines, pl.DataFrame(errors, schema=_ERROR, orient="row")], how="horizontal")
    front = ["attempts", "scored", "problems", "pass_rate", "std_score", *_ERROR]
    names = [*by, *front, "flaky", "ttft_seconds", "tokens_per_second"]
    return lines.select(*names, "cost_usd", "cost_per_solved_usd", *Outcome)


def _clusters(table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Per group, the passes `c` and scored attempts `n` of its problems, and how many are flaky."""
    c, n = pl.col("c"), pl.col("n")
    flaky = ((c > 0) & (c < n)).filter(n > 1).mean().alias("flaky")
    return _tried(table, by).group_by(by, maintain_order=True).agg(c, n, flaky)


def _tried(table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Scored attempts `n` and passes `c` of each problem of each group."""
    keys = [*by, *(["problem_id"] if "problem_id" not in by else [])]
    return (
        table.filter(pl.col("score").is_not_null())
        .group_by(keys, maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("passed").sum().cast(pl.Int64).alias("c"))
    )


def _error(
    passes: Sequence[int] | None, counts: Sequence[int] | None, level: float
) -> tuple[float | None, float | None, float | None]:
    """Standard error and bounds: clustered by problem, binomial for a single one."""
    if passes is None or counts is None:
        return None, None, None
    if len(counts) == 1:
        rate = passes[0] / counts[0]
        error = math.sqrt(rate * (1 - rate) / counts[0])
        return error, *wilson(passes[0], counts[0], level)
    return clustered_error(passes, counts), *clustered_interval(passes, counts, level)


def by_tag(table: pl.DataFrame, level: float = LEVEL) -> pl.DataFrame:
    """`rates` per tag and target; a row counts under each of its tags, in no line without one."""
    tagged = table.with_columns(pl.col("tags").str.split(",").alias("tag")).explode("tag")
    return summarize(tagged.filter(pl.col("tag") != ""), ["tag", "target"], level)


def cost_interval(table: pl.DataFrame, by: Sequence[str], level: float = LEVEL) -> pl.DataFrame:
    """The interval of `cost_per_solved_usd` of each group that has one, bootstrapped by problem.

    Columns, beside those of `by`: `cost_low` and `cost_high`. Both are null where there are fewer
    than two problems, `cost_high` also where so few are solved that it is without bound.
    """
    keys = [*by, *(["problem_id"] if "problem_id" not in by else [])]
    problems = table.filter(_PRICED).group_by(keys, maintain_order=True)
    sums = problems.agg(pl.col("cost_usd").sum(), pl.col("passed").sum())
    lines = []
    for key, group in sums.group_by(by, maintain_order=True):
        if not group["passed"].sum():
            continue
        bounds: tuple[float | None, ...] = (None, None)
        if len(group) > 1:
            found = bootstrap(group["cost_usd"], group["passed"], level)
            bounds = tuple(bound if math.isfinite(bound) else None for bound in found)
        lines.append([*key, *bounds])
    schema = {name: table.schema[name] for name in by}
    return pl.DataFrame(
        lines, schema=schema | {"cost_low": pl.Float64, "cost_high": pl.Float64}, orient="row"
    )


def percentiles(
    table: pl.DataFrame, by: Sequence[str], at: Sequence[int] = PERCENTILES
) -> pl.DataFrame:
    """Percentiles of speed per group, over the rows that have the value.

    Columns, beside those of `by`: `ttft_seconds_p50` and so on, for each of `ttft_seconds`,
    `ttfa_seconds`, `tokens_per_second` and `llm_seconds`, and each of `at` (0..100); between two
    rows the percentile is interpolated.
    """
    return table.group_by(by, maintain_order=True).agg(
        pl.col(name).quantile(q / 100, interpolation="linear").alias(f"{name}_p{q}")
        for name in SPEEDS
        for q in at
    )


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that at least one of `k` answers passes, from `c` passes in `n` >= `k` runs.

    The unbiased estimator of Chen et al. 2021, "Evaluating Large Language Models Trained on Code"
    (https://arxiv.org/abs/2107.03374).
    """
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Probability that all of `k` answers pass (pass^k), from `c` passes in `n` >= `k` runs.

    The unbiased estimator of Yao et al. 2024, "τ-bench" (https://arxiv.org/abs/2406.12045).
    """
    return math.comb(c, k) / math.comb(n, k)


def pass_rates_at(
    table: pl.DataFrame, by: Sequence[str], ks: Sequence[int], level: float = LEVEL
) -> pl.DataFrame:
    """Mean pass@k and pass^k over the problems of each group, one line per group and k.

    Columns, beside those of `by`: `k`; `problems`, those with k scored runs or more, over which
    the means are taken; `pass_at_k` with `pass_at_k_low` and `pass_at_k_high`; `pass_hat_k` with
    `pass_hat_k_low` and `pass_hat_k_high`. Bounds are clustered by problem and null where there
    are fewer than two; all is null where no problem has k runs.
    """
    estimators = {"pass_at_k": pass_at_k, "pass_hat_k": pass_hat_k}
    lines = []
    for key, problems in _tried(table, by).group_by(by, maintain_order=True):
        for k in ks:
            tried = [(n, c) for n, c in problems.select("n", "c").iter_rows() if n >= k]
            line = dict(zip(by, key, strict=True)) | {"k": k, "problems": len(tried)}
            for name, estimate in estimators.items():
                values = [estimate(n, c, k) for n, c in tried]
                low, high = _spread(values, min((n for n, _ in tried), default=0), level)
                line |= {name: fmean(values) if values else None}
                line |= {f"{name}_low": low, f"{name}_high": high}
            lines.append(line)
    bounded = [f"{name}{end}" for name in estimators for end in ("", "_low", "_high")]
    schema = {name: table.schema[name] for name in by} | {"k": pl.Int64, "problems": pl.Int64}
    return pl.DataFrame(lines, schema=schema | dict.fromkeys(bounded, pl.Float64), orient="row")


def _spread(values: Sequence[float], runs: int, level: float) -> Interval | tuple[None, None]:
    """Bounds of the mean of estimates, each over so many runs of a problem or more."""
    if len(values) < 2:
        return None, None
    return clustered_interval([value * runs for value in values], [runs] * len(values), level)
