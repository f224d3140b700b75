"""Groups of targets that cannot be told apart: all pairs tested, shown as letters."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from string import ascii_lowercase

import polars as pl

from llmbench.stats.comparison import ALPHA
from llmbench.stats.paired import holm, sign_flip

Pair = tuple[str, str]
_Rates = Mapping[tuple[str, str], Fraction]


def letters(table: pl.DataFrame, targets: Sequence[str]) -> dict[str, str]:
    """Return the letters of each target: targets that share a letter cannot be told apart.

    Each two of `targets` are compared as `compare` does it: a paired test that permutes the signs
    of the problems' differences, with Holm's correction for the number of pairs. Targets without a
    scored problem in common are not told apart. The letters are the compact letter display of
    Piepho 2004, "An Algorithm for a Letter-Based Representation of All-Pairwise Comparisons"; the
    first target has an `a`.
    """
    shared = groups(targets, different_pairs(table, targets))
    names = [_name(number) for number in range(len(shared))]
    return {
        target: "".join(name for name, group in zip(names, shared, strict=True) if target in group)
        for target in targets
    }


def different_pairs(table: pl.DataFrame, targets: Sequence[str]) -> list[Pair]:
    """Return the pairs of targets whose pass rates differ significantly."""
    rates = _rates(table)
    pairs, p_values = [], []
    for pair in combinations(targets, 2):
        one, other = (rates.get(target, {}) for target in pair)
        common = [problem for problem in one if problem in other]
        if common:
            pairs.append(pair)
            p_values.append(sign_flip([one[problem] - other[problem] for problem in common]).value)
    return [pair for pair, p in zip(pairs, holm(p_values), strict=True) if p <= ALPHA]


def groups(targets: Sequence[str], different: Iterable[Pair]) -> list[frozenset[str]]:
    """Return the largest groups without a different pair, in the order of their first targets."""
    result = [frozenset(targets)]
    for one, other in different:
        split: dict[frozenset[str], None] = {}
        for group in result:
            parts = [group - {one}, group - {other}] if {one, other} <= group else [group]
            split.update(dict.fromkeys(parts))
        result = [group for group in split if not any(group < wider for wider in split)]
    rank = {target: number for number, target in enumerate(targets)}
    return sorted(result, key=lambda group: sorted(rank[target] for target in group))


def _rates(table: pl.DataFrame) -> Mapping[str, _Rates]:
    """Return the pass rate of each target on each problem with a score, by id and hash."""
    problems = (
        table.filter(pl.col("score").is_not_null())
        .group_by("target", "problem_id", "problem_sha256")
        .agg(pl.col("passed").sum(), pl.len())
    )
    rates: dict[str, dict[tuple[str, str], Fraction]] = defaultdict(dict)
    for target, id_, hash_, passed, runs in problems.iter_rows():
        rates[target][id_, hash_] = Fraction(passed, runs)
    return rates


def _name(number: int) -> str:
    """Return a letter; beyond z, a letter with a number."""
    turn, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(turn + 1) if turn else "")
