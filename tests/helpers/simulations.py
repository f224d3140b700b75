"""Results of simulated and of chosen passes, for tests of the statistics."""

import numpy as np
import polars as pl

from helpers.factories import row
from llmbench import stats
from llmbench.records import Row
from llmbench.store import tables

Counts = list[tuple[int, int]]  # runs and passes of each problem


def rows_of(counts: Counts, **changes: object) -> list[Row]:
    """Return one row per run; `counts` are the runs and passes of each problem."""
    return [
        row(
            **{"problem_id": f"p{i}", "run": run, **changes},
            score=100.0 * (run <= passes),
            passed=run <= passes,
            outcome="passed" if run <= passes else "failed",
        )
        for i, (runs, passes) in enumerate(counts)
        for run in range(1, runs + 1)
    ]


def line_of(counts: Counts, **changes: object) -> dict[str, float]:
    """Return the statistics of these counts as one target."""
    (line,) = stats.summarize(tables.to_frame(rows_of(counts, **changes)), ["target"]).to_dicts()
    return line


def simulated(
    problems: int, runs: int, alpha: float, beta: float, times: int
) -> tuple[float, np.ndarray[tuple[int, int], np.dtype[np.int64]]]:
    """Return the true rate, and passes per problem for each repetition.

    The pass rates of the problems follow Beta(alpha, beta).
    """
    draws = np.random.default_rng(20240917)
    chances = draws.beta(alpha, beta, size=(times, problems))
    return alpha / (alpha + beta), draws.binomial(runs, chances)


def repeated(passes: np.ndarray[tuple[int, int], np.dtype[np.int64]], runs: int) -> pl.DataFrame:
    """Return each repetition of a simulation as a target; an answer costs 0.01 $."""
    passed = np.arange(runs) < passes[:, :, None]
    times, problems, _ = (index.ravel() for index in np.indices(passed.shape))
    table = pl.DataFrame({"target": times, "problem_id": problems, "passed": passed.ravel()})
    return table.with_columns(score=100.0 * pl.col("passed"), cost_usd=0.01)
