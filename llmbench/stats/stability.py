"""Stability: how alike runs of the same problem end, and what more problems or runs would bring."""

import math
from collections.abc import Sequence
from statistics import fmean, variance

import polars as pl

from llmbench.stats.intervals import CONFIDENCE
from llmbench.stats.rates import mean_interval, pass_at_k, pass_hat_k, passes_by_problem

MORE = 10
"""Problems or runs that the advice of `stability` adds."""

_COLUMNS = {
    "problems": pl.Int64,
    "agreement": pl.Float64,
    "agreement_ci_low": pl.Float64,
    "agreement_ci_high": pl.Float64,
    "k": pl.Int64,
    "pass_at_k": pl.Float64,
    "pass_hat_k": pl.Float64,
    "between": pl.Float64,
    "error_more_problems": pl.Float64,
    "error_more_runs": pl.Float64,
}


def run_agreement(n: int, c: int) -> float:
    """Return the probability that two different runs of a problem end alike.

    The estimate is the share of alike pairs among `c` passes in `n` >= 2 runs, which is unbiased
    for p² + (1 - p)² whatever `n` is.
    """
    return 1 - 2 * c * (n - c) / (n * (n - 1))


def stability(
    table: pl.DataFrame, by: Sequence[str], confidence: float = CONFIDENCE
) -> pl.DataFrame:
    """Return one line per group that has a problem with two or more scored runs.

    Columns, beside those of `by`:
        problems: problems with two or more scored runs; all other columns are about them.
        agreement: the probability that two runs of the same problem end alike, 0..1, as a mean over
            problems; `agreement_ci_low` and `agreement_ci_high` bound it, clustered by problem, and
            are null for a single problem.
        k: the fewest runs of any of these problems.
        pass_at_k, pass_hat_k: means of pass@k and pass^k.
        between: share of the variance of a run's result that lies between problems, 0..1 (the
            intraclass correlation); null where all runs end alike, or for a single problem.
        error_more_problems, error_more_runs: the standard error that the pass rate would have with
            10 more problems of as many runs each, and with 10 more runs of each problem; null
            likewise.
    """
    lines = []
    for key, problems in passes_by_problem(table, by).group_by(by, maintain_order=True):
        counts = [(n, c) for n, c in problems.select("n", "c").iter_rows() if n > 1]
        if counts:
            values = [run_agreement(n, c) for n, c in counts]
            k = min(n for n, _ in counts)
            interval = mean_interval(values, k, confidence)
            at_k = (fmean(rate(n, c, k) for n, c in counts) for rate in (pass_at_k, pass_hat_k))
            advice = variance_split(counts) or (None, None, None)
            lines.append([*key, len(counts), fmean(values), *interval, k, *at_k, *advice])
    schema = {name: table.schema[name] for name in by} | _COLUMNS
    return pl.DataFrame(lines, schema=schema, orient="row")


def variance_split(counts: Sequence[tuple[int, int]]) -> tuple[float, float, float] | None:
    """Return `between`, `error_more_problems` and `error_more_runs` of `stability`.

    `counts` holds runs (2 or more) and passes of each problem. The variance within problems is the
    mean of the unbiased estimates of p (1 - p). That between problems is the variance of their
    rates, less what runs contribute to it (analysis of variance of one random factor), and not
    less than 0. None where there is no variance or only one problem.
    """
    if len(counts) < 2:
        return None
    runs = len(counts) / sum(1 / n for n, _ in counts)  # the harmonic mean
    within = fmean(c * (n - c) / (n * (n - 1)) for n, c in counts)
    of_runs = fmean(c * (n - c) / (n * n * (n - 1)) for n, c in counts)
    between = max(0.0, variance([c / n for n, c in counts]) - of_runs)
    if not within + between:
        return None
    more_problems = math.sqrt((between + within / runs) / (len(counts) + MORE))
    more_runs = math.sqrt((between + within / (runs + MORE)) / len(counts))
    return between / (between + within), more_problems, more_runs
