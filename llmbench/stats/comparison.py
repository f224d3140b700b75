"""Comparison of results on the problems that they share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from statistics import fmean
from typing import Any

import polars as pl

from llmbench.errors import ResultFileError
from llmbench.stats.flips import find_flips, flips_by_chance
from llmbench.stats.intervals import CONFIDENCE
from llmbench.stats.metrics import METRIC_DIFFERENCES, compare_metrics, metric_values
from llmbench.stats.paired import (
    difference_interval,
    holm,
    mcnemar,
    min_detectable_difference,
    sign_flip,
)
from llmbench.stats.within import Passes, fewer_passes

ALPHA = 1 - CONFIDENCE
"""Significance level: a difference with a p-value up to this is significant."""

_Schema = Mapping[str, type[pl.DataType]]
_PAIR: _Schema = {"baseline": pl.String, "candidate": pl.String}
DIFFERENCES: _Schema = {
    **_PAIR,
    "problems": pl.Int64,
    "attempts_baseline": pl.Int64,
    "attempts_candidate": pl.Int64,
    "unscored_baseline": pl.Int64,
    "unscored_candidate": pl.Int64,
    "pass_rate_baseline": pl.Float64,
    "pass_rate_candidate": pl.Float64,
    "difference": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,
    "p_value_exact": pl.Boolean,
    "p_regression": pl.Float64,
    "p_regression_adjusted": pl.Float64,
    "p_regression_exact": pl.Boolean,
    "mcnemar_p": pl.Float64,
    "min_detectable_difference": pl.Float64,
    "flips_by_chance": pl.Float64,
}
FLIPS: _Schema = {
    **_PAIR,
    "problem_id": pl.String,
    "lang": pl.String,
    "change": pl.String,
    "pass_rate_baseline": pl.Float64,
    "pass_rate_candidate": pl.Float64,
    "p_value": pl.Float64,
    "finding": pl.Boolean,
}
EXCLUDED: _Schema = {
    **_PAIR,
    "problem_id": pl.String,
    "reason": pl.String,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences between pairs of results, as frames.

    In each frame the columns `baseline` and `candidate` name the pair; the candidate is the newer
    result. A difference is candidate minus baseline.

    Attributes:
        differences: a line per pair, over the problems that have a score in both under one hash.
            `attempts_…` count attempts with a score, `unscored_…` those of the whole result
            without. Pass rates and their `difference` are means over problems, 0..1, with the
            interval `ci_low` to `ci_high`. `p_value` asks whether the candidate is better or worse
            on problems like these: a two-sided test that permutes the signs of the problems'
            differences. `p_regression` asks whether these same problems pass less often than
            before: a one-sided test that permutes the runs within each problem. `…_exact` is False
            where permutations were drawn, and `…_adjusted` is Holm's for the number of pairs
            (`p_adjusted` that of `p_value`). `mcnemar_p` is null unless each problem ran once in
            both.
            `min_detectable_difference` is the smallest difference that this design detects in 8 of
            10 cases. `flips_by_chance` is the number of problems that chance alone moves between
            never, sometimes and always passing, apart from the findings among the flips.
        flips: a line per problem that moved between never, sometimes and always passing, the worst
            first: `broken` (never passes now), `newly flaky` (always passed before), `partly fixed`
            (never passed before) or `fixed` (always passes now). `p_value` is one-sided, of the
            problem alone. `finding` is True where it survives the control of false discoveries:
            of the findings of one direction at most one in ten is expected to be chance. `worse`
            and `better` are findings that pass sometimes, before and now.
        metrics: a line per pair and metric: time, tokens, cost and speed of an answer, as
            `metrics.compare_metrics` returns them. `ratio` is candidate over baseline, paired by
            problem, with its interval: of `totals`, or the median of the problems' ratios
            (`medians`), as `ratio_of` says. Values and their difference are means or medians over
            problems, likewise.
        excluded: a line per problem that could not be paired, with the reason.
        unpaired: results that have nothing to be compared with.
        incomparable: a sentence for each pair without a scored problem in common.
        replayed: True where recorded answers were replayed: then no model was asked.
    """

    differences: pl.DataFrame
    flips: pl.DataFrame
    metrics: pl.DataFrame
    excluded: pl.DataFrame
    unpaired: tuple[str, ...]
    incomparable: tuple[str, ...]
    replayed: bool

    def regressions(self, points: float | None = None) -> pl.DataFrame:
        """Return the lines of `differences` whose candidate is worse than the baseline.

        Without `points`, those whose problems pass significantly less often than before
        (`p_regression_adjusted`). With `points`, those whose pass rate fell by more than so many
        percentage points, significant or not.
        """
        if points is None:
            worse = (pl.col("difference") < 0) & (pl.col("p_regression_adjusted") <= ALPHA)
        else:
            worse = pl.col("difference") * 100 < -points - 1e-9
        return self.differences.filter(worse)


@dataclass(frozen=True, slots=True)
class _Side:
    """The rows of one target in one result, by problem; `file` is the result's index."""

    name: str
    file: int
    target: str
    unscored: int
    problems: Mapping[tuple[str, str], Mapping[str, Any]]

    @property
    def hashes(self) -> dict[str, str]:
        return dict(self.problems.keys())


def compare(results: Sequence[tuple[str, pl.DataFrame]], baseline: str | None = None) -> Comparison:
    """Compare named results, pair by pair, on the problems whose hashes are equal.

    A target of a later result is compared with the same target in the first, or with the only one
    there. Of a single result, each two targets are compared. `baseline` names a target that all
    others are compared with instead.

    Raises:
        ResultFileError: there is no pair, or none has a problem in common.
    """
    sides = _sides(results)
    pairs = list(_pairs(sides, len(results), baseline))
    if not pairs:
        names = ", ".join(side.name for side in sides) or "no row"
        raise ResultFileError(f"nothing to compare: there is {names}; give a second result")
    differences, flips, metrics, excluded, incomparable = [], [], [], [], []
    for before, after in pairs:
        pair = {"baseline": before.name, "candidate": after.name}
        reasons = list(_excluded(before, after))
        common = _common(before, after)
        if not common:
            incomparable.append(_nothing_in_common(before, after, reasons))
            continue
        unscored = {"unscored_baseline": before.unscored, "unscored_candidate": after.unscored}
        changes, by_chance = _flips(common)
        expected = {"flips_by_chance": by_chance}
        differences.append(pair | _difference(common) | unscored | expected)
        flips += [pair | change for change in changes]
        metrics += [pair | metric for metric in compare_metrics(common)]
        excluded += [pair | {"problem_id": id_, "reason": reason} for id_, reason in reasons]
    if not differences:
        raise ResultFileError("\n".join(incomparable))
    for name, of_all in (("p_adjusted", "p_value"), ("p_regression_adjusted", "p_regression")):
        for line, p in zip(differences, holm([d[of_all] for d in differences]), strict=True):
            line[name] = p
    paired = {side.name for pair_ in pairs for side in pair_}
    return Comparison(
        _frame(differences, DIFFERENCES),
        _frame(flips, FLIPS),
        _frame(metrics, {**_PAIR, **METRIC_DIFFERENCES}),
        _frame(excluded, EXCLUDED),
        tuple(side.name for side in sides if side.name not in paired),
        tuple(incomparable),
        any(bool(table["replayed"].any()) for _, table in results),
    )


def _frame(lines: Sequence[Mapping[str, Any]], schema: _Schema) -> pl.DataFrame:
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
    """Return per problem: scored attempts `n`, passes `c`, and the value of each metric."""
    lines = rows.group_by("problem_id", "problem_sha256", "lang", maintain_order=True).agg(
        pl.col("score").count().alias("n"),
        pl.col("passed").sum().alias("c"),
        *metric_values(),
    )
    return {(line["problem_id"], line["problem_sha256"]): line for line in lines.to_dicts()}


def _pairs(
    sides: Sequence[_Side], files: int, baseline: str | None
) -> Iterator[tuple[_Side, _Side]]:
    if baseline is not None:
        chosen = next((side for side in sides if side.target == baseline), None)
        if chosen is None:
            known = ", ".join(sorted({side.target for side in sides}))
            raise ResultFileError(f"baseline {baseline}: no such target; there are: {known}")
        yield from ((chosen, side) for side in sides if side is not chosen)
    elif files == 1:
        yield from combinations(sides, 2)
    else:
        first = {side.target: side for side in sides if side.file == 0}
        only = next(iter(first.values())) if len(first) == 1 else None
        for side in sides:
            other = first.get(side.target, only)
            if side.file > 0 and other is not None:
                yield other, side


def _excluded(before: _Side, after: _Side) -> Iterator[tuple[str, str]]:
    """Yield each problem that cannot be paired, with the reason."""
    old, new = before.hashes, after.hashes
    for id_ in dict.fromkeys([*old, *new]):
        if id_ not in new:
            yield id_, f"not in {after.name}"
        elif id_ not in old:
            yield id_, f"not in {before.name}"
        elif old[id_] != new[id_]:
            yield id_, "has changed: its task, tests or settings differ"
        else:
            key = (id_, old[id_])
            for side in (before, after):
                if not side.problems[key]["n"]:
                    yield id_, f"has no scored attempt in {side.name}"


def _nothing_in_common(before: _Side, after: _Side, reasons: Sequence[tuple[str, str]]) -> str:
    first = "; ".join(f"{id_} {reason}" for id_, reason in reasons[:3])
    more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return f"{before.name} and {after.name} have no scored problem in common: {first}{more}"


_Common = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


def _common(before: _Side, after: _Side) -> _Common:
    """Return the problems that have a score on both sides, as pairs of their lines."""
    both = (
        (before.problems[key], after.problems[key])
        for key in before.problems
        if key in after.problems
    )
    return [(old, new) for old, new in both if old["n"] and new["n"]]


def _difference(common: _Common) -> dict[str, Any]:
    exact = [Fraction(new["c"], new["n"]) - Fraction(old["c"], old["n"]) for old, new in common]
    differences = [float(difference) for difference in exact]
    baseline, candidate = (
        fmean(line["c"] / line["n"] for line in side) for side in zip(*common, strict=True)
    )
    low, high = difference_interval(differences)
    p = sign_flip(exact)
    regression = fewer_passes(_passes(common))
    once = all(old["n"] == new["n"] == 1 for old, new in common)
    return {
        "problems": len(common),
        "attempts_baseline": sum(old["n"] for old, _ in common),
        "attempts_candidate": sum(new["n"] for _, new in common),
        "pass_rate_baseline": baseline,
        "pass_rate_candidate": candidate,
        "difference": float(sum(exact) / len(exact)),
        "ci_low": low,
        "ci_high": high,
        "p_value": p.value,
        "p_value_exact": p.exact,
        "p_regression": regression.value,
        "p_regression_exact": regression.exact,
        "mcnemar_p": mcnemar(exact.count(Fraction(-1)), exact.count(Fraction(1))) if once else None,
        "min_detectable_difference": min_detectable_difference(differences),
    }


def _passes(common: _Common) -> list[Passes]:
    return [Passes(old["n"], old["c"], new["n"], new["c"]) for old, new in common]


def _flips(common: _Common) -> tuple[list[dict[str, Any]], float]:
    """Return the problems that changed, and how many others chance alone changes."""
    passes = _passes(common)
    flips = find_flips(passes)
    findings = {flip.index for flip in flips if flip.is_finding}
    others = [each for index, each in enumerate(passes) if index not in findings]
    lines = [
        {
            "problem_id": common[flip.index][0]["problem_id"],
            "lang": common[flip.index][0]["lang"],
            "change": flip.change,
            "pass_rate_baseline": passes[flip.index].before / passes[flip.index].runs_before,
            "pass_rate_candidate": passes[flip.index].after / passes[flip.index].runs_after,
            "p_value": flip.p_value,
            "finding": flip.is_finding,
        }
        for flip in flips
    ]
    return lines, flips_by_chance(others)
