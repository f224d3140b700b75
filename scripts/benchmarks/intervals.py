"""Simulates intervals of a pass rate: how often they cover the true one, and how wide they are.

python scripts/benchmarks/intervals.py [--times N]

The pass rates of the problems follow a beta distribution with a mean and a concentration: the
smaller the concentration, the more of them are near 0 or 1. `beta-binomial` is the interval of the
summary, `clustered` is Wilson's with the clustered standard error, `bootstrap` resamples problems.
"""

import argparse
from collections.abc import Callable, Sequence

import numpy as np

from llmbench import stats

METHODS: dict[str, Callable[[Sequence[int], Sequence[int]], stats.Interval]] = {
    "beta-binomial": stats.rate_interval,
    "clustered": stats.clustered_interval,
    "bootstrap": lambda passes, counts: stats.bootstrap(passes, counts, resamples=500),
}


def main() -> None:
    """Print coverage and mean width of each method by design."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=500)
    times = parser.parse_args().times
    print(f"problems runs  mean conc.   {'   '.join(f'{name:>14}' for name in METHODS)}")
    for problems, runs in ((13, 1), (13, 3), (13, 5), (30, 3), (66, 3), (60, 5)):
        for mean, concentration in ((0.95, 2), (0.9, 2), (0.667, 0.9), (0.5, 2)):
            draws = np.random.default_rng(2)
            cells = {name: np.zeros(2) for name in METHODS}
            for _ in range(times):
                rates = draws.beta(mean * concentration, (1 - mean) * concentration, problems)
                passes = draws.binomial(runs, rates).tolist()
                for name, method in METHODS.items():
                    low, high = method(passes, [runs] * problems)
                    cells[name] += (low <= mean <= high, high - low)
            text = "   ".join(f"{c / times:7.3f} {w / times:6.3f}" for c, w in cells.values())
            print(f"{problems:8} {runs:4} {mean:5} {concentration:5}   {text}", flush=True)


if __name__ == "__main__":
    main()
