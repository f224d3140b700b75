"""The verdict on a night: its result against the accepted night and against all nights since."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import fmean
from typing import Any, NamedTuple

import polars as pl

from llmbench.stats.intervals import CONFIDENCE
from llmbench.stats.within import Passes, fewer_passes

MONTH = 30
"""Nights over which false alarms are controlled."""

Problem = tuple[str, str]  # id and hash
Night = Mapping[Problem, tuple[int, int]]  # scored runs and passes


class State(StrEnum):
    """The result of a target in a night, the worst first."""

    REGRESSION = "regression"
    """These problems pass less often than before, by more than chance explains or than allowed."""
    CHANGED = "changed"
    """No problem of the accepted night is left: this night becomes the accepted one."""
    FIRST = "first night"
    """There is no accepted night: this one becomes it."""
    STEADY = "steady"
    """No regression was found."""


VERDICTS: Mapping[str, type[pl.DataType]] = {
    "target": pl.String,
    "state": pl.String,
    "accepted": pl.String,
    "problems": pl.Int64,
    "pass_rate_accepted": pl.Float64,
    "pass_rate": pl.Float64,
    "difference": pl.Float64,
    "p_month": pl.Float64,
    "since": pl.String,
}


class _Test(NamedTuple):
    """One comparison of latest nights with earlier ones, corrected for the others of the night.

    `since` is the first of the latest nights.
    """

    p_value: float
    since: str


def judge(
    results: Sequence[tuple[str, pl.DataFrame]],
    accepted: Mapping[str, str],
    points: float | None = None,
) -> pl.DataFrame:
    """Return the verdict on the latest of dated results, one line per target in it.

    `results` are dated, the oldest first. `accepted` holds the date of each target's accepted
    night. With `points`, a regression is a fall by more than so many percentage points below the
    accepted night. Without, it is a fall that chance does not explain.

    For the latter the latest night is compared with the accepted one, and with all nights between,
    so that a large fall shows at once. So that a small one shows a few nights later, the latest 2,
    3, … nights are compared with all nights before them, back to the accepted one (a change point).
    Each comparison is `fewer_passes` on the
    problems that have not changed. It counts only if the latest night is at least half as far down
    as the latest nights together, so that a fall that is over raises no alarm.

    False alarms are controlled over a month by an equal share of the level for each night and each
    target (Bonferroni). Of the share of a night a quarter is for each of the two comparisons of the
    latest night, and the rest is for the change points in equal parts. If nothing changes, a month
    has an alarm about any target with a probability of at most 5 %, however the nights depend on
    each other.

    Columns:
        target, state: the target, and one of `State`.
        accepted: date of its accepted night; null where there is none.
        problems: problems with a score in both nights under one hash; the other columns are about
            them and null where there is none.
        pass_rate_accepted, pass_rate, difference: means over problems, 0..1.
        p_month: the p-value after all corrections, at most 1.
        since: the first of the latest nights that give this p-value.
    """
    date, latest = results[-1]
    nights = _nights(results)
    targets = latest.filter(pl.col("score").is_not_null())["target"].unique().sort().to_list()
    lines = [
        {"target": target} | _verdict(nights[target], date, accepted.get(target), len(targets))
        for target in targets
    ]
    for line in lines:
        if "difference" in line and _is_regression(line, points):
            line["state"] = State.REGRESSION
    return pl.DataFrame(lines, schema=dict(VERDICTS), orient="row")


def _is_regression(line: Mapping[str, Any], points: float | None) -> bool:
    if points is None:
        return bool(line["p_month"] <= 1 - CONFIDENCE + 1e-12)
    return bool(line["difference"] * 100 < -points - 1e-9)


def _nights(results: Sequence[tuple[str, pl.DataFrame]]) -> dict[str, dict[str, Night]]:
    """Return by target and date the scored runs and passes of each problem."""
    nights: dict[str, dict[str, dict[Problem, tuple[int, int]]]] = {}
    for date, table in results:
        counts = (
            table.filter(pl.col("score").is_not_null())
            .group_by("target", "problem_id", "problem_sha256", maintain_order=True)
            .agg(pl.len(), pl.col("passed").sum().cast(pl.Int64))
        )
        for target, id_, sha256, n, c in counts.iter_rows():
            nights.setdefault(target, {}).setdefault(date, {})[id_, sha256] = (n, c)
    return nights  # type: ignore[return-value]  # read only from here on


def _verdict(
    nights: Mapping[str, Night], date: str, accepted: str | None, targets: int
) -> dict[str, Any]:
    """Return one line of `judge` without its target; a regression is decided later."""
    if accepted is None or accepted not in nights:
        return {"state": State.FIRST, "accepted": None}
    if accepted == date:
        return {"state": State.STEADY, "accepted": date}
    before, now = nights[accepted], nights[date]
    common = [problem for problem in now if problem in before]
    if not common:
        return {"state": State.CHANGED, "accepted": accepted, "problems": 0}
    since = [accepted, *(each for each in sorted(nights) if accepted < each < date), date]
    tests = _tests([nights[each] for each in since], since)
    best = min(tests)
    rates = [fmean(c / n for n, c in (night[p] for p in common)) for night in (before, now)]
    return {
        "state": State.STEADY,
        "accepted": accepted,
        "problems": len(common),
        "pass_rate_accepted": rates[0],
        "pass_rate": rates[1],
        "difference": rates[1] - rates[0],
        "p_month": min(1.0, best.p_value * targets * MONTH),
        "since": best.since,
    }


def _tests(nights: Sequence[Night], dates: Sequence[str]) -> list[_Test]:
    """Return the comparisons of the latest nights with those before them."""
    tests = [_compare([nights[0]], [nights[-1]], dates[-1])]
    changes = range(1, len(nights) - 1)  # the first of the latest nights, if these are several
    if not changes:
        return tests
    tests.append(_compare(nights[:-1], [nights[-1]], dates[-1]))
    shares = [4, 4] + [2 * len(changes)] * len(changes)
    tests += [_compare(nights[:first], nights[first:], dates[first]) for first in changes]
    return [
        _Test(test.p_value * share, test.since) for test, share in zip(tests, shares, strict=True)
    ]


def _compare(before: Sequence[Night], after: Sequence[Night], since: str) -> _Test:
    """Return the p-value of a fall between nights and the latest ones after them."""
    latest = after[-1]
    old, new = _sum(before, latest), _sum(after, latest)
    common = [problem for problem in new if problem in old]
    passes = [Passes(*old[problem], *new[problem]) for problem in common]
    if not passes:
        return _Test(1.0, since)
    falls = [p.after / p.runs_after - p.before / p.runs_before for p in passes]
    tonight = [
        latest[problem][1] / latest[problem][0] - old[problem][1] / old[problem][0]
        for problem in common
    ]
    lasts = fmean(falls) < 0 and fmean(tonight) <= fmean(falls) / 2
    return _Test(fewer_passes(passes).value if lasts else 1.0, since)


def _sum(nights: Sequence[Night], problems: Night) -> dict[Problem, tuple[int, int]]:
    """Return scored runs and passes over several nights of these problems."""
    total: dict[Problem, tuple[int, int]] = {}
    for night in nights:
        for problem, (n, c) in night.items():
            if problem in problems:
                runs, passed = total.get(problem, (0, 0))
                total[problem] = (runs + n, passed + c)
    return total
