"""Simulates months of nights, and counts false alarms and how soon a lasting fall is found.

python scripts/benchmarks/nights.py [--months N] [--targets N]

A month has an accepted night and 30 nights after it, of several targets. The pass rates of the
problems follow Beta(0.6, 0.3). `nightly` is the rule of `llmbench nightly`; `5 % each` compares
each night with the accepted one at a level of 0.05, as if there were no other night or target. A
false alarm is one in a month in which nothing changes. In the other months one target falls at the
10th night for good: a share of its problems breaks and never passes. Then the figures are the share
of months in which it is found in that night, within 3 and within 7 nights.
"""

import argparse

import numpy as np
import polars as pl

from llmbench import stats
from llmbench.stats import State

DESIGNS = ((66, 3, 0.12), (13, 5, 0.2), (13, 3, 0.2))
FALL = 10


def main() -> None:
    """Print false alarms and delays by design."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--months", type=int, default=50)
    parser.add_argument("--targets", type=int, default=6)
    args = parser.parse_args()
    print("problems runs   false alarms: nightly 5 % each   broken   found: at once ≤3 ≤7 nights")
    for problems, runs, broken in DESIGNS:
        draws = np.random.default_rng(1)
        nightly = naive = 0
        for _ in range(args.months):
            month = simulate(draws, args.targets, problems, runs, 0)
            alarms = [judged(month[: night + 1]) for night in range(1, len(month))]
            nightly += any(p <= stats.ALPHA for p, _ in alarms)
            naive += any(p <= stats.ALPHA for _, p in alarms)
        delays = []
        for _ in range(args.months):
            month = simulate(draws, args.targets, problems, runs, broken)
            nights = range(FALL, FALL + 7)
            alarms_after = (n - FALL for n in nights if judged(month[: n + 1])[0] <= stats.ALPHA)
            delays.append(next(alarms_after, 99))
        shares = "   ".join(f"{np.mean([d <= most for d in delays]):.2f}" for most in (0, 2, 6))
        figures = f"{nightly / args.months:21.2f} {naive / args.months:8.2f} {broken:9.0%}"
        print(f"{problems:8} {runs:4} {figures}          {shares}", flush=True)


def simulate(
    draws: np.random.Generator, targets: int, problems: int, runs: int, broken: float
) -> list[tuple[str, pl.DataFrame]]:
    """Return the results of a month; the first target falls at night FALL."""
    rates = draws.beta(0.6, 0.3, (targets, problems))
    month = []
    for night in range(stats.MONTH + 1):
        if night == FALL:
            rates[0, : round(broken * problems)] = 0
        passed = draws.random((targets, problems, runs)) < rates[:, :, None]
        target, problem, _ = (index.ravel() for index in np.indices(passed.shape))
        month.append(
            (
                f"2026-01-{night + 1:02}",
                pl.DataFrame(
                    {
                        "target": [f"t{each}" for each in target],
                        "problem_id": [f"p{each}" for each in problem],
                        "problem_sha256": [""] * len(problem),
                        "passed": passed.ravel(),
                        "score": 100.0 * passed.ravel(),
                    }
                ),
            )
        )
    return month


def judged(month: list[tuple[str, pl.DataFrame]]) -> tuple[float, float]:
    """Return the smallest p-value of `nightly`, and that of the newest night alone."""
    first, last = month[0], month[-1]
    accepted = dict.fromkeys(first[1]["target"].unique().to_list(), first[0])
    lines = stats.judge(month, accepted)
    assert set(lines["state"]) <= {State.STEADY, State.REGRESSION}
    alone = stats.judge([first, last], accepted)
    # Without the corrections for nights and targets.
    lowest = min(alone["p_month"].to_list()) / stats.MONTH / len(accepted)
    return min(lines["p_month"].to_list()), lowest


if __name__ == "__main__":
    main()
