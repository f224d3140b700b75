"""Difficulty and discrimination of each problem: how well it tells targets apart."""

from collections.abc import Mapping, Sequence
from statistics import StatisticsError, correlation, fmean

import polars as pl

from llmbench.stats.rates import passes_by_problem

NEVER, ALWAYS, SOMETIMES = "never", "always", "sometimes"
"""Kinds of problems: no run of any target solved it, every run did, or some did."""

SATURATED = 0.8
"""Share of problems that never or always are solved, from which on a set is saturated."""

LEAST_TARGETS = 3
"""A correlation over fewer targets than this is no figure."""

ITEMS: Mapping[str, type[pl.DataType]] = {
    "problem_id": pl.String,
    "targets": pl.Int64,
    "scored": pl.Int64,
    "pass_rate": pl.Float64,
    "solved": pl.String,
    "discrimination": pl.Float64,
}


def item_statistics(table: pl.DataFrame) -> pl.DataFrame:
    """Return one line per problem with a score, in the order in which they appear.

    Columns:
        problem_id: the problem.
        targets, scored: targets with a score on it, and its scored runs.
        pass_rate: mean over targets of their pass rates on it, 0..1.
        solved: `never` if no run passed, `always` if every run did, else `sometimes`.
        discrimination: the correlation over targets between the pass rate on this problem and the
            mean of the pass rates on the other problems (item-rest correlation, -1..1). Near 1 the
            better targets solve it and the others do not; near 0 it does not tell them apart; below
            0 the worse targets solve it more often, which often means that its tests are wrong. It
            is null for fewer than 3 targets, and where either side is the same for all of them.
    """
    rates: dict[str, dict[str, tuple[int, int]]] = {}
    counts = passes_by_problem(table, ["target"])
    for target, problem, n, c in counts.select("target", "problem_id", "n", "c").iter_rows():
        rates.setdefault(problem, {})[target] = (n, c)
    sums: dict[str, list[float]] = {}
    for by_target in rates.values():
        for target, (n, c) in by_target.items():
            sums.setdefault(target, []).append(c / n)
    totals = {target: (sum(values), len(values)) for target, values in sums.items()}
    lines = [
        {
            "problem_id": problem,
            "targets": len(by_target),
            "scored": sum(n for n, _ in by_target.values()),
            "pass_rate": fmean(c / n for n, c in by_target.values()),
            "solved": _solved(by_target),
            "discrimination": _discrimination(by_target, totals),
        }
        for problem, by_target in rates.items()
    ]
    return pl.DataFrame(lines, schema=dict(ITEMS), orient="row")


def saturation(items: pl.DataFrame) -> str:
    """Return a sentence on how many problems tell nothing, and whether the set is saturated.

    `items` are lines of `item_statistics`. The sentence is empty if every problem is solved
    sometimes.
    """
    counts = {kind: len(items.filter(solved=kind)) for kind in (ALWAYS, NEVER)}
    if not any(counts.values()):
        return ""
    sentence = (
        f"Of {len(items)} problems {counts[ALWAYS]} are always solved and {counts[NEVER]} never, "
        "by every target in every run: they tell no targets apart."
    )
    if sum(counts.values()) < SATURATED * len(items):
        return sentence
    harder = "harder" if counts[ALWAYS] >= counts[NEVER] else "easier"
    return f"{sentence} The set is saturated: it needs {harder} problems."


def _solved(by_target: Mapping[str, tuple[int, int]]) -> str:
    passed = sum(c for _, c in by_target.values())
    if passed == 0:
        return NEVER
    return ALWAYS if passed == sum(n for n, _ in by_target.values()) else SOMETIMES


def _discrimination(
    by_target: Mapping[str, tuple[int, int]], totals: Mapping[str, tuple[float, int]]
) -> float | None:
    item, rest = [], []
    for target, (n, c) in by_target.items():
        total, problems = totals[target]
        if problems > 1:
            item.append(c / n)
            rest.append((total - c / n) / (problems - 1))
    return _correlation(item, rest) if len(item) >= LEAST_TARGETS else None


def _correlation(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """Return Pearson's correlation; None where one side is constant, but for rounding."""
    if max(xs) - min(xs) < 1e-9 or max(ys) - min(ys) < 1e-9:
        return None
    try:
        return correlation(xs, ys)
    except StatisticsError:
        return None
