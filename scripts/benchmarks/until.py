"""Simulates `--until`: how often its interval covers the true rate, and how much it saves.

python scripts/benchmarks/until.py [--times N]

The pass rates of the problems follow a beta distribution with a mean and a concentration. `all
runs` always makes all 10 runs. `until` is what llmbench does: 3 runs of each problem, then one run
of all of them after another. `disagreeing` is what it does not do: after the first 3 runs it adds
runs for those problems alone that passed sometimes.

Coverage is that of the 95% interval. Bias is the mean error of the pass rate (the mean over
problems) in points. Saved is the share of the attempts of 10 runs that were not made. ± is the mean
of the larger distance from the rate to a bound, in points.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray

from llmbench import stats
from llmbench.plan import FIRST_RUNS, MOST_RUNS

Outcomes = NDArray[np.bool_]
"""The passes, by problem (down) and run (across)."""

Counts = NDArray[np.int64]


def all_runs(outcomes: Outcomes, until: float) -> Counts:
    """Return the runs of each problem: all."""
    return np.full(len(outcomes), outcomes.shape[1])


def equal_runs(outcomes: Outcomes, until: float) -> Counts:
    """Return the runs of each problem, equally many, when the interval is narrow enough."""
    counts = np.full(len(outcomes), FIRST_RUNS)
    while counts[0] < outcomes.shape[1] and not _is_within(outcomes, counts, until):
        counts += 1
    return counts


def disagreeing_runs(outcomes: Outcomes, until: float) -> Counts:
    """Return the runs of each problem if only those that passed sometimes get more."""
    counts = np.full(len(outcomes), FIRST_RUNS)
    for _ in range(FIRST_RUNS, outcomes.shape[1]):
        if _is_within(outcomes, counts, until):
            break
        passes = _passes(outcomes, counts)
        counts += (passes > 0) & (passes < counts)
    return counts


DESIGNS: tuple[tuple[int, float, float, float], ...] = (
    (13, 0.9, 2, 18),
    (13, 0.667, 0.9, 21),
    (30, 0.9, 2, 11),
    (30, 0.667, 4, 11),
    (66, 0.95, 2, 5.5),
    (66, 0.9, 2, 6.5),
    (66, 0.667, 0.9, 9.5),
    (66, 0.5, 4, 7),
    (200, 0.667, 0.9, 5.2),
    (200, 0.667, 4, 4),
)
"""Problems, mean and concentration of their rates, and the points of `--until`."""

RULES: dict[str, Callable[[Outcomes, float], Counts]] = {
    "all runs": all_runs,
    "until": equal_runs,
    "disagreeing": disagreeing_runs,
}


def _passes(outcomes: Outcomes, counts: Counts) -> Counts:
    is_counted = np.arange(outcomes.shape[1]) < counts[:, None]
    return np.asarray((outcomes & is_counted).sum(axis=1))


def _is_within(outcomes: Outcomes, counts: Counts, until: float) -> bool:
    passes = _passes(outcomes, counts)
    return 100 * stats.margin(passes.tolist(), counts.tolist()) <= until


def simulate(
    problems: int, mean: float, concentration: float, until: float, times: int
) -> dict[str, list[float]]:
    """Return coverage, bias in points, the share saved and the mean margin in points, by rule."""
    draws = np.random.default_rng(3)
    sums = {name: np.zeros(4) for name in RULES}
    for _ in range(times):
        rates = draws.beta(mean * concentration, (1 - mean) * concentration, problems)
        outcomes = draws.random((problems, MOST_RUNS)) < rates[:, None]
        for name, rule in RULES.items():
            counts = rule(outcomes, until)
            passes = _passes(outcomes, counts)
            low, high = stats.pass_rate_interval(passes.tolist(), counts.tolist())
            error = 100 * float((passes / counts).mean() - mean)
            saved = 1 - counts.sum() / outcomes.size
            margin = 100 * stats.margin(passes.tolist(), counts.tolist())
            sums[name] += (low <= mean <= high, error, saved, margin)
    return {name: (total / times).tolist() for name, total in sums.items()}


def main() -> None:
    """Print coverage, bias, the share saved and the margin of each rule by design."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=1000)
    times = parser.parse_args().times
    print("coverage, bias in points, share of attempts saved, margin in points, by rule")
    print(f"problems  mean conc. until   {'   '.join(f'{name:>24}' for name in RULES)}")
    with ProcessPoolExecutor() as pool:
        lines = [pool.submit(simulate, *design, times) for design in DESIGNS]
        for (problems, mean, concentration, until), line in zip(DESIGNS, lines, strict=True):
            cells = line.result().values()
            text = "   ".join(f"{c:6.3f} {b:+5.2f} {s:4.0%} ±{m:5.1f}" for c, b, s, m in cells)
            print(f"{problems:8} {mean:5} {concentration:5} {until:5}   {text}", flush=True)


if __name__ == "__main__":
    main()
