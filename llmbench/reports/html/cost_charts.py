"""Figures of scores against cost, latency and speed, and the distributions of speed."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import altair as alt
import polars as pl

from llmbench import stats
from llmbench.reports.columns import (
    COST,
    COST_PER_SOLVED,
    INTERVAL,
    INTERVAL_TITLE,
    PASS_RATE,
    row_cells,
    titles,
)
from llmbench.reports.format import count, dollar_interval, number, seconds
from llmbench.reports.html.figure import (
    NAMES,
    PERCENT,
    RATE_COLUMNS,
    RATE_TOOLTIPS,
    ROW,
    ROWS,
    WHOLE,
    Chart,
    Figure,
    by_target,
    shape,
    spec,
)

SPREAD = (5, 25, 50, 75, 95)
"""Percentiles that show a distribution."""

LOG_RATIO = 20
"""A scale is logarithmic where the largest value is more than so many times the smallest."""

FRONT = "#7f8a99"
"""The colour of the Pareto front, which suits a light and a dark page."""

_RATE = alt.Y("pass_rate:Q", title="pass rate", axis=PERCENT, scale=WHOLE)
SCORE = (PASS_RATE, INTERVAL)
_FRONT_NOTE = (
    "The dashed line is the Pareto front: no other target is at least as good as one of its "
    "targets in both values and better in one."
)


class Speed(NamedTuple):
    """A metric of speed, the title of its figure, its unit and decimals."""

    column: str
    title: str
    unit: str
    digits: int


SPEEDS = (
    Speed("ttft_seconds", "Time to first token", "s", 2),
    Speed("tokens_per_second", "Tokens per second", "tokens/s", 0),
)


class Across(NamedTuple):
    """The value that a plot shows across: its columns, title, format and better direction.

    `low` and `high` are columns of the bounds of its range, None where it has no range.
    """

    value: str
    title: str
    format: str
    is_more_better: bool
    low: str | None = None
    high: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns of the value and its bounds."""
        return [name for name in (self.low, self.value, self.high) if name]


COST_ACROSS = Across(
    "cost_per_solved_usd",
    "USD per answer that passes",
    ".4f",
    False,
    "cost_ci_low",
    "cost_ci_high",
)
LATENCY_ACROSS = Across(
    "llm_seconds_p50",
    "seconds to the whole answer",
    ".2f",
    False,
    "llm_seconds_p10",
    "llm_seconds_p90",
)
SPEED_ACROSS = Across("tokens_per_second", "tokens per second", ".0f", True)


def speed(lines: pl.DataFrame) -> Figure:
    """Return the figure of the pass rate against the median decode speed."""
    id_, title = "speed", "Score against speed"
    known = lines.filter(pl.col("tokens_per_second").is_not_null())
    if known.is_empty():
        return Figure(id_, title, "No row has tokens_per_second.")
    return Figure(
        id_,
        title,
        "Pass rate with its "
        f"{INTERVAL_TITLE} against tokens per second after the first token (median). "
        f"Up and right is better. {_FRONT_NOTE}{_absent(lines, known, 'a known speed')}",
        _scatter(known, SPEED_ACROSS, lines["target"].to_list(), "Pass rate against decode speed"),
        ["target", *titles(SCORE), "tokens/s"],
        [
            [line["target"], *row_cells(SCORE, line), count(line["tokens_per_second"])]
            for line in lines.to_dicts()
        ],
    )


def cost(table: pl.DataFrame, lines: pl.DataFrame) -> Figure:
    """Return the figure of the pass rate against the cost of an answer that passes."""
    id_, title = "cost", "Score against cost"
    intervals = stats.cost_interval(table, ["target"])
    lines = lines.join(intervals, on="target", how="left", maintain_order="left")
    priced = lines.filter(pl.col("cost_per_solved_usd").is_not_null())
    if priced.is_empty():
        known = lines["cost_usd"].is_not_null().any()
        unknown = "No answer has a known cost: name prices with --prices when you run."
        return Figure(id_, title, "No answer with a known cost passed." if known else unknown)
    absent = _absent(lines.filter(pl.col("cost_usd").is_null()), priced, "a known cost")
    absent += _absent(lines.filter(pl.col("cost_usd").is_not_null()), priced, "a passed answer")
    return Figure(
        id_,
        title,
        "Average cost of an answer that passes, which includes the cost of failed answers, "
        f"with the {INTERVAL_TITLE} of both. Up and left is better. {_FRONT_NOTE}{absent}",
        _scatter(
            priced,
            COST_ACROSS,
            lines["target"].to_list(),
            "Pass rate against cost per solved problem",
        ),
        ["target", *titles((*SCORE, COST_PER_SOLVED, INTERVAL, COST))],
        [
            [
                line["target"],
                *row_cells((*SCORE, COST_PER_SOLVED), line),
                dollar_interval(line["cost_ci_low"], line["cost_ci_high"]),
                COST.cell(line),
            ]
            for line in lines.to_dicts()
        ],
    )


def latency(table: pl.DataFrame, lines: pl.DataFrame) -> Figure:
    """Return the figure of the pass rate against the time to a whole answer."""
    id_, title = "latency", "Score against latency"
    percentiles = stats.percentiles(table, ["target"], (10, 50, 90))
    lines = lines.join(percentiles, on="target", how="left", maintain_order="left")
    timed = lines.filter(pl.col("llm_seconds_p50").is_not_null())
    if timed.is_empty():
        return Figure(id_, title, "No row has the time of its answer.")
    return Figure(
        id_,
        title,
        "Median time to a whole answer; the line spans the middle 80 %. Up and left is better. "
        f"{_FRONT_NOTE}{_absent(lines, timed, 'the time of an answer')}",
        _scatter(
            timed,
            LATENCY_ACROSS,
            lines["target"].to_list(),
            "Pass rate against seconds to the whole answer",
        ),
        ["target", *titles(SCORE), "10th percentile", "median", "90th percentile"],
        [
            [line["target"], *row_cells(SCORE, line),
             *(seconds(line[name]) for name in LATENCY_ACROSS.columns)]
            for line in lines.to_dicts()
        ],
    )  # fmt: skip


def _absent(lines: pl.DataFrame, known: pl.DataFrame, missing: str) -> str:
    """Return a sentence that names the targets which a plot of `known` lacks."""
    names = [name for name in lines["target"].to_list() if name not in set(known["target"])]
    return f" Not in the plot, without {missing}: {', '.join(names)}." if names else ""


def pareto_front(lines: pl.DataFrame, across: Across) -> list[bool]:
    """Return for each line if no other is at least as good in both values and better in one."""
    sign = 1 if across.is_more_better else -1
    points = [
        (sign * value, -math.inf if rate is None else rate)
        for value, rate in lines.select(across.value, "pass_rate").iter_rows()
    ]
    return [
        rate > -math.inf
        and not any(v >= value and r >= rate and (v > value or r > rate) for v, r in points)
        for value, rate in points
    ]


def _scatter(
    lines: pl.DataFrame, across: Across, targets: Sequence[str], description: str
) -> dict[str, Any]:
    """Return the plot of the pass rate over a value, with their ranges and the Pareto front."""
    value = across.value
    values = pl.concat([lines[name] for name in across.columns])
    x = alt.X(f"{value}:Q", title=across.title, **_axis(values, fixed=across.low is not None))
    base = alt.Chart(ROWS).encode(color=by_target(targets))
    rule = base.mark_rule(size=2, opacity=0.4)
    tooltips = (alt.Tooltip(f"{name}:Q", format=across.format) for name in across.columns)
    tooltip = ["target:N", *tooltips, *RATE_TOOLTIPS]
    steps: Literal["step-before", "step-after"]
    steps = "step-before" if across.is_more_better else "step-after"
    front = (
        alt.Chart(ROWS)
        .transform_filter("datum.front")
        .mark_line(color=FRONT, strokeDash=[4, 3], size=1.5, interpolate=steps)
        .encode(x, _RATE, order=f"{value}:Q")
    )
    layers = [front, rule.encode(x, alt.Y("ci_low:Q"), alt.Y2("ci_high:Q"))]
    if across.low and across.high:
        layers.append(rule.encode(alt.X(f"{across.low}:Q"), alt.X2(f"{across.high}:Q"), _RATE))
    points = base.mark_point(filled=True, size=140, opacity=1)
    layers.append(points.encode(x, _RATE, shape=shape(targets), tooltip=tooltip))
    chart: Chart = alt.layer(*layers).properties(height=280)
    rows = lines.select("target", *across.columns, *RATE_COLUMNS)
    rows = rows.with_columns(pl.Series("front", pareto_front(lines, across)))
    return spec(chart, rows, description)


def distribution(table: pl.DataFrame, targets: Sequence[str], speed: Speed) -> Figure:
    """Return the figure of the distribution of a speed, as its percentiles."""
    column, title, unit, digits = speed
    names = {f"{column}_p{q}": f"p{q}" for q in SPREAD}
    lines = stats.percentiles(table, ["target"], SPREAD).select("target", *names).rename(names)
    known = lines.drop_nulls()
    if known.is_empty():
        return Figure(column, title, f"No row has {column}.")
    x = alt.X("p5:Q", title=unit, **_axis(pl.concat([known["p5"], known["p95"]])))
    base = alt.Chart(ROWS).encode(
        alt.Y("target:N", sort=list(targets), title=None, axis=NAMES),
        color=by_target(targets, legend=False),
    )
    tooltip = ["target:N", *(alt.Tooltip(f"p{q}:Q", format=f".{digits}f") for q in SPREAD)]
    chart = alt.layer(
        base.mark_rule(size=2).encode(x, alt.X2("p95:Q")),
        base.mark_bar(size=14, opacity=0.55).encode(
            alt.X("p25:Q"), alt.X2("p75:Q"), tooltip=tooltip
        ),
        base.mark_tick(size=20, thickness=3).encode(alt.X("p50:Q"), tooltip=tooltip),
    ).properties(height=ROW * len(targets))
    by_name = {line["target"]: line for line in lines.to_dicts()}
    return Figure(
        column,
        title,
        "Line: 5th to 95th percentile of the answers; bar: the middle half; tick: the median.",
        spec(chart, known, title),
        ["target", *(f"{q}th percentile" if q != 50 else "median" for q in SPREAD)],
        [
            [target, *(number(by_name[target][f"p{q}"], digits, f" {unit}") for q in SPREAD)]
            for target in targets
        ],
    )


def _axis(values: pl.Series, *, fixed: bool = True) -> dict[str, Any]:
    """Return axis and scale of values: logarithmic where they span much, else from 0.

    Without `fixed`, the scale follows the rows, which the page may filter.
    """
    least, most = values.min(), values.max()
    assert isinstance(least, float) and isinstance(most, float)  # noqa: PT018  # not empty
    if not (least > 0 and most / least > LOG_RATIO):
        scale = alt.Scale(zero=True, nice=True)
        return {"axis": alt.Axis(tickCount=5), "scale": scale}
    if not fixed:
        scale = alt.Scale(type="log", nice=True)
        return {"axis": alt.Axis(tickCount=5, format="~r"), "scale": scale}
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    steps = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    low = max(step for step in steps if step <= least)
    high = min(step for step in steps if step >= most)
    marks = [step for step in steps if low <= step <= high]
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return {"axis": alt.Axis(values=marks, format="~r"), "scale": scale}
