"""Figures of cost, latency and speed, and of the differences between runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
from llmbench.reports.format import dollar_interval, interval, number, percent, seconds
from llmbench.reports.html.figure import (
    BANDS,
    PERCENT,
    RATE_COLUMNS,
    RATE_TOOLTIPS,
    ROW,
    ROWS,
    WHOLE,
    Chart,
    Figure,
    by_target,
    interval_band,
    shape,
    shorten,
    spec,
    with_intervals,
)

SPREAD = (5, 25, 50, 75, 95)
"""Percentiles that show a distribution."""

KS = (1, 2, 3, 4, 5, 8, 10, 15, 20, 30, 50, 100)
"""Numbers of answers for pass@k and pass^k, as far as there are so many runs."""

LOG_RATIO = 20
"""A scale is logarithmic where the largest value is more than so many times the smallest."""

_RATE = alt.Y("pass_rate:Q", title="pass rate", axis=PERCENT, scale=WHOLE)
SCORE = (PASS_RATE, INTERVAL)


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
    names = ("cost_ci_low", "cost_per_solved_usd", "cost_ci_high")
    chart = _scatter(priced, names, "USD per answer that passes", ".4f", lines["target"].to_list())
    rows = [
        [
            line["target"],
            *row_cells((*SCORE, COST_PER_SOLVED), line),
            dollar_interval(line["cost_ci_low"], line["cost_ci_high"]),
            COST.cell(line),
        ]
        for line in lines.to_dicts()
    ]
    return Figure(
        id_,
        title,
        "Average cost of an answer that passes, which includes the cost of failed answers, "
        f"with the {INTERVAL_TITLE} of both. Up and left is better.",
        spec(
            chart,
            priced.select("target", *names, *RATE_COLUMNS),
            "Pass rate against cost per solved problem",
        ),
        ["target", *titles((*SCORE, COST_PER_SOLVED, INTERVAL, COST))],
        rows,
    )


def latency(table: pl.DataFrame, lines: pl.DataFrame) -> Figure:
    """Return the figure of the pass rate against the time to a whole answer."""
    id_, title = "latency", "Score against latency"
    percentiles = stats.percentiles(table, ["target"], (10, 50, 90))
    lines = lines.join(percentiles, on="target", how="left", maintain_order="left")
    timed = lines.filter(pl.col("llm_seconds_p50").is_not_null())
    if timed.is_empty():
        return Figure(id_, title, "No row has the time of its answer.")
    names = ("llm_seconds_p10", "llm_seconds_p50", "llm_seconds_p90")
    chart = _scatter(timed, names, "seconds to the whole answer", ".2f", lines["target"].to_list())
    return Figure(
        id_,
        title,
        "Median time to a whole answer; the line spans the middle 80 %. Up and left is better.",
        spec(
            chart,
            timed.select("target", *names, *RATE_COLUMNS),
            "Pass rate against seconds to the whole answer",
        ),
        ["target", *titles(SCORE), "10th percentile", "median", "90th percentile"],
        [
            [line["target"], *row_cells(SCORE, line), *(seconds(line[name]) for name in names)]
            for line in lines.to_dicts()
        ],
    )


def _scatter(
    lines: pl.DataFrame, names: tuple[str, str, str], title: str, digits: str, targets: list[str]
) -> Chart:
    """Return the pass rate against a value, with the ranges of both.

    `names` are the columns of the lower bound, the value and the upper bound.
    """
    low, value, high = names
    x = alt.X(f"{value}:Q", title=title, **_across(pl.concat([lines[n] for n in names])))
    base = alt.Chart(ROWS).encode(color=by_target(targets))
    rule = base.mark_rule(size=2, opacity=0.4)
    tooltip = ["target:N", *(alt.Tooltip(f"{n}:Q", format=digits) for n in names), *RATE_TOOLTIPS]
    return alt.layer(
        rule.encode(alt.X(f"{low}:Q"), alt.X2(f"{high}:Q"), _RATE),
        rule.encode(x, alt.Y("ci_low:Q"), alt.Y2("ci_high:Q")),
        base.mark_point(filled=True, size=140, opacity=1).encode(
            x, _RATE, shape=shape(targets), tooltip=tooltip
        ),
    ).properties(height=280)


def distribution(table: pl.DataFrame, targets: Sequence[str], speed: Speed) -> Figure:
    """Return the figure of the distribution of a speed, as its percentiles."""
    column, title, unit, digits = speed
    names = {f"{column}_p{q}": f"p{q}" for q in SPREAD}
    lines = stats.percentiles(table, ["target"], SPREAD).select("target", *names).rename(names)
    known = lines.drop_nulls()
    if known.is_empty():
        return Figure(column, title, f"No row has {column}.")
    x = alt.X("p5:Q", title=unit, **_across(pl.concat([known["p5"], known["p95"]])))
    base = alt.Chart(ROWS).encode(
        alt.Y(
            "target:N", sort=list(targets), title=None, axis=alt.Axis(labelExpr=shorten("inAxis"))
        ),
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


def pass_at_k(table: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """Return the figure of pass@k and pass^k over the number of answers k."""
    id_, title = "pass-at-k", "One of k, all of k"
    runs = stats.summarize(table, ["target", "problem_id"])["scored"].max()
    if not isinstance(runs, int) or runs < 2:
        return Figure(id_, title, "Each problem ran once: only repeated runs show stability.")
    lines = stats.pass_rates_at(table, ["target"], [k for k in KS if k <= runs])
    long = lines.unpivot(
        ["pass_at_k", "pass_hat_k"], index=["target", "k", "problems"], variable_name="metric"
    ).with_columns(pl.col("metric").replace({"pass_at_k": "pass@k", "pass_hat_k": "pass^k"}))
    order = {target: rank for rank, target in enumerate(targets)}
    rows = [
        [line["target"], str(line["k"]), str(line["problems"]),
         *(cell for name in ("pass_at_k", "pass_hat_k") for cell in (
             percent(line[name]), interval(line[f"{name}_ci_low"], line[f"{name}_ci_high"])))]
        for line in sorted(lines.to_dicts(), key=lambda line: order[line["target"]])
    ]  # fmt: skip
    return Figure(
        id_,
        title,
        "pass@k: at least one of k answers passes; pass^k: all k do. A wide gap between the two "
        "means that a model passes by chance.",
        spec(_pass_at_k_lines(targets), long, "pass@k and pass^k of each target"),
        ["target", "k", "problems", "pass@k", INTERVAL_TITLE, "pass^k", INTERVAL_TITLE],
        rows,
    )


def _pass_at_k_lines(targets: Sequence[str]) -> Chart:
    dash = alt.StrokeDash(
        "metric:N",
        scale=alt.Scale(domain=["pass@k", "pass^k"], range=[[1, 0], [5, 4]]),
        legend=alt.Legend(
            title=None,
            orient="top",  # the legend of the targets may fill the width below
            symbolType="stroke",
            symbolStrokeColor="#7f8a99",
            symbolSize=400,
        ),
    )
    tooltip = ["target:N", "metric:N", "k:Q", alt.Tooltip("value:Q", format=".1%"), "problems:Q"]
    base = alt.Chart(ROWS).encode(
        alt.X("k:O", title="k answers").axis(labelAngle=0),
        alt.Y("value:Q", title="share of problems", axis=PERCENT, scale=WHOLE),
        by_target(targets),
    )
    return alt.layer(
        base.mark_line().encode(dash),
        base.mark_point(filled=True, size=50, opacity=1).encode(
            shape(targets), detail="metric:N", tooltip=tooltip
        ),
    ).properties(height=280)


def per_run(table: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """Return the figure of the pass rate of each run."""
    id_, title = "runs", "Stability over runs"
    lines = stats.summarize(table, ["run", "target"]).sort("run", maintain_order=True)
    numbers = lines["run"].unique().sort().to_list()
    if len(numbers) < 2:
        return Figure(id_, title, "There is one run: only repeated runs show stability.")
    base = alt.Chart(ROWS).encode(
        alt.X("run:O", title="run").axis(labelAngle=0), color=by_target(targets)
    )
    tooltip = ["target:N", "run:O", *RATE_TOOLTIPS]
    chart = alt.layer(
        *([interval_band(base)] if len(targets) <= BANDS else []),
        base.mark_line().encode(_RATE),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            _RATE, shape=shape(targets), tooltip=tooltip
        ),
    ).properties(height=280)
    by_key = {(line["run"], line["target"]): line for line in lines.to_dicts()}
    rows = [
        [str(run), *(_score(by_key.get((run, target))) for target in targets)] for run in numbers
    ]
    return Figure(
        id_,
        title,
        with_intervals("Pass rate of each run over all problems", targets),
        spec(
            chart,
            lines.select("run", "target", *RATE_COLUMNS),
            "Pass rate of each target in each run",
        ),
        ["run", *targets],
        rows,
    )


def _score(line: Mapping[str, Any] | None) -> str:
    return "-" if line is None else " ".join(row_cells(SCORE, line))


def _across(values: pl.Series) -> dict[str, Any]:
    """Return axis and scale of values: logarithmic where they span much, else from 0."""
    least, most = values.min(), values.max()
    assert isinstance(least, float) and isinstance(most, float)  # noqa: PT018  # not empty
    if not (least > 0 and most / least > LOG_RATIO):
        scale = alt.Scale(zero=True, nice=True)
        return {"axis": alt.Axis(tickCount=5), "scale": scale}
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    steps = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    low = max(step for step in steps if step <= least)
    high = min(step for step in steps if step >= most)
    marks = [step for step in steps if low <= step <= high]
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return {"axis": alt.Axis(values=marks, format="~r"), "scale": scale}
