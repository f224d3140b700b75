"""Statistics over result rows: one line per group, for any grouping."""

import math
from collections.abc import Sequence
from statistics import fmean

import polars as pl

from llmbench.completions import TimingSource
from llmbench.records import Outcome
from llmbench.stats.beta_binomial import pass_rate_interval
from llmbench.stats.intervals import (
    CONFIDENCE,
    Interval,
    bootstrap,
    clustered_error,
    clustered_interval,
)

PERCENTILES = (10, 50, 90, 99)
SPEEDS = (
    "ttft_seconds",
    "ttfa_seconds",
    "tokens_per_second",
    "prompt_tokens_per_second",
    "decode_tokens_per_second",
    "llm_seconds",
)
SERVER_TIMED = pl.col("timing_source") != TimingSource.CLIENT.value
"""Rows whose speeds are by the server's clock; null where there is no speed."""

CACHED_SHARE = 0.5
"""A prompt is mostly cached from this share of its tokens on."""

ANSWERED = pl.col("outcome") != Outcome.PROVIDER_ERROR.value
"""Rows that have an answer; the others may only have the cost of failed requests."""

_SCORED = pl.col("score").is_not_null()
_MOSTLY_CACHED = pl.col("cached_tokens") >= CACHED_SHARE * pl.col("prompt_tokens")
_PRICED = _SCORED & pl.col("cost_usd").is_not_null()
_SOLVED = pl.col("passed").filter(_PRICED).sum()
_COST = pl.col("cost_usd")
_AGGREGATES = (
    pl.len().alias("attempts"),
    pl.col("score").count().alias("scored"),
    pl.col("problem_id").filter(_SCORED).n_unique().alias("problems"),
    pl.col("passed").mean().alias("pass_rate"),
    # polars may give 0 for a group that holds nulls alone.
    pl.when(pl.col("score").count() > 0).then(pl.col("score").std(ddof=0)).alias("std_score"),
    pl.col("ttft_seconds").median(),
    pl.col("ttft_seconds").filter(~_MOSTLY_CACHED).median().alias("ttft_uncached_seconds"),
    pl.when(_MOSTLY_CACHED.any()).then(_MOSTLY_CACHED.mean()).alias("mostly_cached"),
    pl.col("tokens_per_second").median(),
    pl.col("prompt_tokens_per_second").median(),
    pl.col("decode_tokens_per_second").filter(SERVER_TIMED).median(),
    pl.when(_COST.count() > 0).then(_COST.sum()).alias("cost_usd"),
    pl.when(_SOLVED > 0).then(_COST.filter(_PRICED).sum() / _SOLVED).alias("cost_per_solved_usd"),
    *((pl.col("outcome") == outcome.value).sum().alias(outcome.value) for outcome in Outcome),
)
"""The statistics of `summarize` that need no more than the rows of the group."""

_ERROR = {"std_error": pl.Float64, "ci_low": pl.Float64, "ci_high": pl.Float64}


def summarize(
    table: pl.DataFrame, by: Sequence[str], confidence: float = CONFIDENCE
) -> pl.DataFrame:
    """Return one line per group of result rows, in the order in which the groups appear.

    Columns, beside those of `by`:
        attempts: rows of the group.
        scored: rows with a score.
        problems: problems with a score.
        pass_rate: share of scored rows that passed, 0..1; null where there are none.
        std_score: population standard deviation of the score, in points; null likewise.
        std_error, ci_low, ci_high: of the pass rate, the interval at `confidence`. The error is
            clustered by problem, and the interval is `rate_interval`; in a group of a single
            problem they are over its runs.
        flaky: share of the problems with two or more scored runs that neither always pass nor
            always fail; it grows with the number of runs.
        agreement: probability that two runs of the same problem end alike, 0..1, as a mean over
            the same problems; `stability` has its interval.
        ttft_seconds, tokens_per_second, prompt_tokens_per_second: medians.
        decode_tokens_per_second: median by the server's clock alone.
        ttft_uncached_seconds: median over the answers whose prompt was not mostly cached, by the
            server's word; null where it says nothing.
        mostly_cached: share of the answers whose prompt was; null where none was.
        cost_usd: sum; null where no row has a cost.
        cost_per_solved_usd: cost of the scored answers over the number that passed, which is the
            average cost of getting an answer that passes; null where none did.
        passed, failed and so on: one count per outcome, under the outcome's name.
    """
    lines = table.group_by(by, maintain_order=True).agg(*_AGGREGATES)
    lines = lines.join(_clusters(table, by), on=by, how="left", nulls_equal=True)
    errors = [_error(line["c"], line["n"], confidence) for line in lines.iter_rows(named=True)]
    bounds = pl.DataFrame(errors, schema=_ERROR, orient="row")
    return pl.concat([lines, bounds], how="horizontal").drop("c", "n")


def _clusters(table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return passes `c` and scored attempts `n` of each group's problems, flaky and agreement."""
    c, n = pl.col("c"), pl.col("n")
    flaky = ((c > 0) & (c < n)).filter(n > 1).mean().alias("flaky")
    alike = 1 - 2 * c * (n - c) / (n * (n - 1))
    agreement = alike.filter(n > 1).mean().alias("agreement")
    return (
        passes_by_problem(table, by).group_by(by, maintain_order=True).agg(c, n, flaky, agreement)
    )


def passes_by_problem(table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return scored attempts `n` and passes `c` of each problem of each group."""
    keys = [*by, *(["problem_id"] if "problem_id" not in by else [])]
    return (
        table.filter(_SCORED)
        .group_by(keys, maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("passed").sum().cast(pl.Int64).alias("c"))
    )


def _error(
    passes: Sequence[int] | None, counts: Sequence[int] | None, confidence: float
) -> tuple[float | None, float | None, float | None]:
    """Return standard error and bounds: by problem, binomial for a single one."""
    if passes is None or counts is None:
        return None, None, None
    bounds = pass_rate_interval(passes, counts, confidence)
    if len(counts) == 1:
        rate = passes[0] / counts[0]
        return math.sqrt(rate * (1 - rate) / counts[0]), *bounds
    return clustered_error(passes, counts), *bounds


def by_tag(table: pl.DataFrame, confidence: float = CONFIDENCE) -> pl.DataFrame:
    """Return `summarize` per tag and target; a row counts under each of its tags."""
    tagged = table.with_columns(pl.col("tags").str.split(",").alias("tag")).explode("tag")
    return summarize(tagged.filter(pl.col("tag") != ""), ["tag", "target"], confidence)


def cost_interval(
    table: pl.DataFrame, by: Sequence[str], confidence: float = CONFIDENCE
) -> pl.DataFrame:
    """Return the interval of each group's `cost_per_solved_usd`, bootstrapped by problem.

    Columns, beside those of `by`: `cost_ci_low` and `cost_ci_high`. Both are null where there are
    fewer than two problems. `cost_ci_high` is also null where so few are solved that the cost has
    no upper bound. Groups without a passed answer have no line.
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
            interval = bootstrap(group["cost_usd"], group["passed"], confidence)
            bounds = tuple(bound if math.isfinite(bound) else None for bound in interval)
        lines.append([*key, *bounds])
    schema = {name: table.schema[name] for name in by}
    return pl.DataFrame(
        lines, schema=schema | {"cost_ci_low": pl.Float64, "cost_ci_high": pl.Float64}, orient="row"
    )


def percentiles(
    table: pl.DataFrame, by: Sequence[str], at: Sequence[int] = PERCENTILES
) -> pl.DataFrame:
    """Return percentiles of speed per group, over the rows that have the value.

    Columns, beside those of `by`: `ttft_seconds_p50` and so on, for each of `ttft_seconds`,
    `ttfa_seconds`, `llm_seconds` and the columns of tokens per second, and each of `at` (0..100).
    Between two rows the percentile is interpolated.
    """
    return table.group_by(by, maintain_order=True).agg(
        pl.col(name).quantile(q / 100, interpolation="linear").alias(f"{name}_p{q}")
        for name in SPEEDS
        for q in at
    )


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the probability that at least one of `k` answers passes.

    The estimate is from `c` passes in `n` >= `k` runs. It is the unbiased estimator of Chen et al.
    2021, "Evaluating Large Language Models Trained on Code" (https://arxiv.org/abs/2107.03374).
    """
    return 1 - math.comb(n - c, k) / math.comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Return the probability that all of `k` answers pass (pass^k).

    The estimate is from `c` passes in `n` >= `k` runs. It is the unbiased estimator of Yao et al.
    2024, "τ-bench" (https://arxiv.org/abs/2406.12045).
    """
    return math.comb(c, k) / math.comb(n, k)


def pass_rates_at(
    table: pl.DataFrame, by: Sequence[str], ks: Sequence[int], confidence: float = CONFIDENCE
) -> pl.DataFrame:
    """Return mean pass@k and pass^k over the problems of each group, one line per group and k.

    Columns, beside those of `by`:
        k: the number of answers.
        problems: problems with k scored runs or more, over which the means are taken.
        pass_at_k, pass_at_k_ci_low, pass_at_k_ci_high: at least one of k passes.
        pass_hat_k, pass_hat_k_ci_low, pass_hat_k_ci_high: all of k pass.

    Rates are null where no problem has k runs. Bounds are clustered by problem, and null where
    there are fewer than two problems.
    """
    estimators = {"pass_at_k": pass_at_k, "pass_hat_k": pass_hat_k}
    lines = []
    for key, problems in passes_by_problem(table, by).group_by(by, maintain_order=True):
        for k in ks:
            counts = [(n, c) for n, c in problems.select("n", "c").iter_rows() if n >= k]
            line = dict(zip(by, key, strict=True)) | {"k": k, "problems": len(counts)}
            for name, estimate in estimators.items():
                values = [estimate(n, c, k) for n, c in counts]
                runs = min((n for n, _ in counts), default=0)
                low, high = mean_interval(values, runs, confidence)
                line |= {name: fmean(values) if values else None}
                line |= {f"{name}_ci_low": low, f"{name}_ci_high": high}
            lines.append(line)
    columns = [f"{name}{suffix}" for name in estimators for suffix in ("", "_ci_low", "_ci_high")]
    schema = {name: table.schema[name] for name in by} | {"k": pl.Int64, "problems": pl.Int64}
    return pl.DataFrame(lines, schema=schema | dict.fromkeys(columns, pl.Float64), orient="row")


def mean_interval(
    values: Sequence[float], runs: int, confidence: float
) -> Interval | tuple[None, None]:
    """Return the interval of the mean of estimates, each from `runs` runs of a problem or more."""
    if len(values) < 2:
        return None, None
    return clustered_interval([value * runs for value in values], [runs] * len(values), confidence)
