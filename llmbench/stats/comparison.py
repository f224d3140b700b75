"""What differs between results of the same problems."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from statistics import fmean
from typing import Any

import polars as pl

from llmbench.errors import ResultFileError
from llmbench.stats.intervals import LEVEL, t_interval
from llmbench.stats.paired import (
    difference_interval,
    holm,
    mcnemar,
    min_detectable_difference,
    sign_flip,
)
from llmbench.stats.rates import ANSWERED

ALPHA = 1 - LEVEL
"""A p-value up to this is called a difference."""

MEASURES: Mapping[str, str] = {
    "ttft_seconds": "s",
    "tokens_per_second": "tokens/s",
    "llm_seconds": "s",
    "completion_tokens": "tokens",
    "cost_usd": "USD",
}
"""What is compared beside passing, with its unit."""

_PAIR: Mapping[str, type[pl.DataType]] = {"a": pl.String, "b": pl.String}
DIFFERENCES: Mapping[str, type[pl.DataType]] = {
    **_PAIR,
    "problems": pl.Int64,
    "attempts_a": pl.Int64,
    "attempts_b": pl.Int64,
    "unscored_a": pl.Int64,
    "unscored_b": pl.Int64,
    "pass_rate_a": pl.Float64,
    "pass_rate_b": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,
    "exact": pl.Boolean,
    "mcnemar_p": pl.Float64,
    "detectable": pl.Float64,
}
FLIPS: Mapping[str, type[pl.DataType]] = {
    **_PAIR,
    "problem_id": pl.String,
    "lang": pl.String,
    "change": pl.String,
    "pass_rate_a": pl.Float64,
    "pass_rate_b": pl.Float64,
}
MEASURED: Mapping[str, type[pl.DataType]] = {
    **_PAIR,
    "measure": pl.String,
    "unit": pl.String,
    "problems": pl.Int64,
    "value_a": pl.Float64,
    "value_b": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
LEFT_OUT: Mapping[str, type[pl.DataType]] = {
    **_PAIR,
    "problem_id": pl.String,
    "reason": pl.String,
}
CHANGES = ("broken", "newly flaky", "fixed")
"""What a flip may be, the worst first."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs, as frames; in each, `a` and `b` name a pair of results, b being the newer one.

    `differences`: a line per pair, over the problems that both solved or failed under one hash;
    `attempts` are those with a score, `unscored` those of the whole result without. Rates and
    their `difference` (b - a) are means over problems, 0..1; `low` and `high` bound the difference;
    `p_value` is of a permutation by problem, `exact` when all were counted, and `p_adjusted` is
    Holm's for the number of pairs; `mcnemar_p` where each problem ran once in both; `detectable` is
    the smallest difference that this design finds in 8 of 10 cases.
    `flips`: a line per problem that is `broken` (never passes now), `fixed` (always) or `newly
    flaky`. `measures`: time, tokens and cost of an answer, means over problems. `left_out`: what
    could not be paired, with the reason. `unpaired`: results that have nothing to be compared with.
    `incomparable`: a sentence for each pair that has no scored problem in common. `replayed` is
    True where recorded answers were replayed: then no model was asked.
    """

    differences: pl.DataFrame
    flips: pl.DataFrame
    measures: pl.DataFrame
    left_out: pl.DataFrame
    unpaired: tuple[str, ...]
    incomparable: tuple[str, ...]
    replayed: bool

    def regressions(self, points: float | None = None) -> pl.DataFrame:
        """The lines of `differences` where b is worse than a.

        Without `points`, by more than chance explains (`p_adjusted` up to 0.05); with them, where
        the measured pass rate fell by more than so many percentage points, chance or not.
        """
        if points is None:
            worse = (pl.col("difference") < 0) & (pl.col("p_adjusted") <= ALPHA)
        else:
            worse = pl.col("difference") * 100 < -points - 1e-9
        return self.differences.filter(worse)


@dataclass(frozen=True, slots=True)
class _Side:
    """The rows of one target in one result; `file` is its place among the results."""

    name: str
    file: int
    target: str
    unscored: int
    problems: Mapping[tuple[str, str], Mapping[str, Any]]

    @property
    def hashes(self) -> dict[str, str]:
        return dict(self.problems.keys())


def compare(results: Sequence[tuple[str, pl.DataFrame]], base: str | None = None) -> Comparison:
    """Compare named results, pair by pair, on the problems whose hashes are equal.

    A target of a later result is compared with the same target in the first, or with the only one
    there; with one result, each two of its targets. `base` names a target that all others are
    compared with instead.

    Raises:
        ResultFileError: there is no pair, or none has a problem in common.
    """
    sides = _sides(results)
    pairs = list(_pairs(sides, len(results), base))
    if not pairs:
        names = ", ".join(side.name for side in sides) or "no row"
        raise ResultFileError(f"nothing to compare: there is {names}; give a second result")
    differences, flips, measures, left_out, incomparable = [], [], [], [], []
    for a, b in pairs:
        pair = {"a": a.name, "b": b.name}
        reasons = list(_left_out(a, b))
        common = [(a.problems[key], b.problems[key]) for key in a.problems if key in b.problems]
        common = [(one, two) for one, two in common if one["n"] and two["n"]]
        if not common:
            incomparable.append(_no_pairs(a, b, reasons))
            continue
        unscored = {"unscored_a": a.unscored, "unscored_b": b.unscored}
        differences.append(pair | _difference(common) | unscored)
        flips += [pair | flip for flip in _flips(common)]
        measures += [pair | measure for measure in _measures(common)]
        left_out += [pair | {"problem_id": id_, "reason": reason} for id_, reason in reasons]
    if not differences:
        raise ResultFileError("\n".join(incomparable))
    for line, adjusted in zip(differences, holm([d["p_value"] for d in differences]), strict=True):
        line["p_adjusted"] = adjusted
    paired = {side.name for sides_ in pairs for side in sides_}
    return Comparison(
        _frame(differences, DIFFERENCES),
        _frame(flips, FLIPS),
        _frame(measures, MEASURED),
        _frame(left_out, LEFT_OUT),
        tuple(side.name for side in sides if side.name not in paired),
        tuple(incomparable),
        any(bool(table["replayed"].any()) for _, table in results),
    )


def _frame(
    lines: Sequence[Mapping[str, Any]], schema: Mapping[str, type[pl.DataType]]
) -> pl.DataFrame:
    return pl.DataFrame([dict(line) for line in lines], schema=dict(schema), orient="row")


def _sides(results: Sequence[tuple[str, pl.DataFrame]]) -> list[_Side]:
    targets = {target for _, table in results for target in table["target"].unique()}
    sides = []
    for file, (source, table) in enumerate(results):
        for (target,), rows in table.group_by(["target"], maintain_order=True):
            name = str(target) if len(results) == 1 else f"{source} {target}"
            name = source if len(targets) == 1 and len(results) > 1 else name
            unscored = rows["score"].null_count()
            sides.append(_Side(name, file, str(target), unscored, _problems(rows)))
    return sides


def _problems(rows: pl.DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """Per problem: scored attempts `n`, passes `c`, and the mean of each measure."""
    lines = rows.group_by("problem_id", "problem_sha256", "lang", maintain_order=True).agg(
        pl.col("score").count().alias("n"),
        pl.col("passed").sum().alias("c"),
        *(pl.col(name).filter(ANSWERED).mean() for name in MEASURES),
    )
    return {(line["problem_id"], line["problem_sha256"]): line for line in lines.to_dicts()}


def _pairs(sides: Sequence[_Side], files: int, base: str | None) -> Iterator[tuple[_Side, _Side]]:
    if base is not None:
        named = next((side for side in sides if side.target == base), None)
        if named is None:
            known = ", ".join(sorted({side.target for side in sides}))
            raise ResultFileError(f"--base {base}: no such target; there are: {known}")
        yield from ((named, side) for side in sides if side is not named)
    elif files == 1:
        yield from combinations(sides, 2)
    else:
        first = {side.target: side for side in sides if side.file == 0}
        only = next(iter(first.values())) if len(first) == 1 else None
        for side in sides:
            other = first.get(side.target, only)
            if side.file > 0 and other is not None:
                yield other, side


def _left_out(a: _Side, b: _Side) -> Iterator[tuple[str, str]]:
    """Each problem that cannot be paired, with the reason."""
    in_a, in_b = a.hashes, b.hashes
    for id_ in dict.fromkeys([*in_a, *in_b]):
        if id_ not in in_b:
            yield id_, f"not in {b.name}"
        elif id_ not in in_a:
            yield id_, f"not in {a.name}"
        elif in_a[id_] != in_b[id_]:
            yield id_, "has changed: its task, tests or settings differ"
        else:
            key = (id_, in_a[id_])
            for side in (a, b):
                if not side.problems[key]["n"]:
                    yield id_, f"has no scored attempt in {side.name}"


def _no_pairs(a: _Side, b: _Side, reasons: Sequence[tuple[str, str]]) -> str:
    said = "; ".join(f"{id_} {reason}" for id_, reason in reasons[:3])
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return f"{a.name} and {b.name} have no scored problem in common: {said}{more}"


_Common = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def _difference(common: _Common) -> dict[str, Any]:
    exact = [Fraction(two["c"], two["n"]) - Fraction(one["c"], one["n"]) for one, two in common]
    each = [float(d) for d in exact]
    rate_a, rate_b = (
        fmean(side["c"] / side["n"] for side in sides) for sides in zip(*common, strict=True)
    )
    low, high = difference_interval(each)
    p = sign_flip(exact)
    once = all(one["n"] == two["n"] == 1 for one, two in common)
    return {
        "problems": len(common),
        "attempts_a": sum(one["n"] for one, _ in common),
        "attempts_b": sum(two["n"] for _, two in common),
        "pass_rate_a": rate_a,
        "pass_rate_b": rate_b,
        "difference": float(sum(exact) / len(exact)),
        "low": low,
        "high": high,
        "p_value": p.value,
        "exact": p.exact,
        "mcnemar_p": mcnemar(exact.count(Fraction(-1)), exact.count(Fraction(1))) if once else None,
        "detectable": min_detectable_difference(each),
    }


def _flips(common: _Common) -> list[dict[str, Any]]:
    """Problems that always, never or at times passed in `a`, and otherwise in `b`."""
    flips = []
    for one, two in common:
        rates = [side["c"] / side["n"] for side in (one, two)]
        before, after = (0 if rate == 0 else 2 if rate == 1 else 1 for rate in rates)
        if before != after:
            change = {0: "broken", 1: "newly flaky", 2: "fixed"}[after]
            about = {"problem_id": one["problem_id"], "lang": one["lang"], "change": change}
            flips.append(about | {"pass_rate_a": rates[0], "pass_rate_b": rates[1]})
    return sorted(flips, key=lambda flip: CHANGES.index(flip["change"]))


def _measures(common: _Common) -> Iterator[dict[str, Any]]:
    """Means over the problems that have the measure in both; none where none has."""
    for name, unit in MEASURES.items():
        both = [
            (one[name], two[name])
            for one, two in common
            if one[name] is not None and two[name] is not None
        ]
        if not both:
            continue
        each = [two - one for one, two in both]
        low, high = t_interval(each) if len(each) > 1 else (None, None)
        yield {
            "measure": name,
            "unit": unit,
            "problems": len(both),
            "value_a": fmean(one for one, _ in both),
            "value_b": fmean(two for _, two in both),
            "difference": fmean(each),
            "low": low,
            "high": high,
        }
