"""Simulates two results of the same problems, and counts how often a test calls a regression.

python scripts/benchmarks/regressions.py [--times N]

The pass rates of the problems follow Beta(0.6, 0.3): most are near 0 or 1. In the second result a
share of the problems has broken and never passes. The two tests are those of `llmbench compare`:
`within` permutes the runs within each problem, one-sided, and decides for --fail-on-regression;
`sign flip` permutes the signs of the problems' differences, two-sided, and counts as a regression
where the second result is worse. Power is the share of simulations that call one at a level of
0.05, and size is this share where no problem has broken.
"""

import argparse
from fractions import Fraction

import numpy as np

from llmbench import stats

DESIGNS = ((66, 3, 0.1), (66, 5, 0.1), (13, 5, 0.2), (13, 3, 0.2), (66, 1, 0.1))


def main() -> None:
    """Print power and size of both tests by design."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=1000)
    times = parser.parse_args().times
    print("problems runs broken   power: within sign flip   size: within sign flip")
    for problems, runs, broken in DESIGNS:
        power = simulate(problems, runs, broken, times)
        size = simulate(problems, runs, 0, times)
        figures = f"{power[0]:15.3f} {power[1]:9.3f} {size[0]:14.3f} {size[1]:9.3f}"
        print(f"{problems:8} {runs:4} {broken:6.0%} {figures}")


def simulate(problems: int, runs: int, broken: float, times: int) -> tuple[float, float]:
    """Return the shares of simulations in which each test calls a regression."""
    draws = np.random.default_rng(1)
    within = sign_flip = 0
    for _ in range(times):
        rates = draws.beta(0.6, 0.3, problems)
        after = rates.copy()
        after[draws.choice(problems, round(broken * problems), replace=False)] = 0
        passes = list(
            zip(
                draws.binomial(runs, rates).tolist(),
                draws.binomial(runs, after).tolist(),
                strict=True,
            )
        )
        pairs = [stats.Passes(runs, old, runs, new) for old, new in passes]
        within += stats.fewer_passes(pairs).value <= stats.ALPHA
        differences = [Fraction(new - old, runs) for old, new in passes]
        worse = sum(differences) < 0
        sign_flip += worse and stats.sign_flip(differences).value <= stats.ALPHA
    return within / times, sign_flip / times


if __name__ == "__main__":
    main()
