"""Figures of what answers took: cost, latency, speed; and of how much runs differ."""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from llmbench import stats
from llmbench.reports.format import interval, number, percent
from llmbench.reports.html.figure import (
    BANDS,
    PERCENT,
    ROW,
    ROWS,
    WHOLE,
    Figure,
    by_target,
    shape,
    short,
    spec,
    with_intervals,
)
from llmbench.reports.summary import INTERVAL

SPREAD = (5, 25, 50, 75, 95)
"""Percentiles that show a distribution."""

SEVERAL = (1, 2, 3, 4, 5, 8, 10, 15, 20, 30, 50, 100)
"""Numbers of answers for pass@k and pass^k, as far as there are so many runs."""

_SCORE = alt.Y("pass_rate:Q", title="pass rate", axis=PERCENT, scale=WHOLE)
_RATES = [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("pass_rate", "low", "high")]
_WIDE = 20  # where the most is so many times the least, a scale is logarithmic


def cost(table: pl.DataFrame, lines: pl.DataFrame) -> Figure:
    """Score against what an answer that passes costs."""
    id_, title = "cost", "Score against cost"
    lines = lines.join(
        stats.cost_interval(table, ["target"]), on="target", how="left", maintain_order="left"
    )
    priced = lines.filter(pl.col("cost_per_solved_usd").is_not_null())
    if priced.is_empty():
        known = lines["cost_usd"].is_not_null().any()
        unknown = "No answer has a known cost: name prices with --prices when you run."
        return Figure(id_, title, "No answer with a known cost passed." if known else unknown)
    names = ["cost_low", "cost_per_solved_usd", "cost_high"]
    across = _across(pl.concat([priced[name] for name in names]).drop_nulls())
    x = alt.X("cost_per_solved_usd:Q", title="USD per answer that passes", **across)
    targets = lines["target"].to_list()
    base = alt.Chart(ROWS).encode(color=by_target(targets))
    rule = base.mark_rule(size=2, opacity=0.4)
    usd = [alt.Tooltip(f"{name}:Q", format=".4f") for name in names]
    chart = alt.layer(
        rule.encode(alt.X("cost_low:Q"), alt.X2("cost_high:Q"), _SCORE),
        rule.encode(x, alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_point(filled=True, size=140, opacity=1).encode(
            x, _SCORE, shape=shape(targets), tooltip=["target:N", *usd, *_RATES]
        ),
    ).properties(height=280)
    return Figure(
        id_,
        title,
        "What an answer that passes costs on average, failed ones paid for, "
        f"with the {INTERVAL} of both. Up and left is better.",
        spec(chart, priced.select("target", *names, "pass_rate", "low", "high"),
             "Pass rate against cost per solved problem"),
        ["target", "pass rate", INTERVAL, "cost per solved", INTERVAL, "cost"],
        [[line["target"], *_score(line), number(line["cost_per_solved_usd"], 4, " $"),
          _dollars(line["cost_low"], line["cost_high"]), number(line["cost_usd"], 4, " $")]
         for line in lines.to_dicts()],
    )  # fmt: skip


def latency(table: pl.DataFrame, lines: pl.DataFrame) -> Figure:
    """Score against the time to a whole answer."""
    id_, title = "latency", "Score against latency"
    taken = stats.percentiles(table, ["target"], (10, 50, 90))
    lines = lines.join(taken, on="target", how="left", maintain_order="left")
    timed = lines.filter(pl.col("llm_seconds_p50").is_not_null())
    if timed.is_empty():
        return Figure(id_, title, "No row tells how long its answer took.")
    across = _across(pl.concat([timed["llm_seconds_p10"], timed["llm_seconds_p90"]]))
    x = alt.X("llm_seconds_p50:Q", title="seconds to the whole answer", **across)
    targets = lines["target"].to_list()
    base = alt.Chart(ROWS).encode(color=by_target(targets))
    rule = base.mark_rule(size=2, opacity=0.4)
    seconds = [alt.Tooltip(f"llm_seconds_p{q}:Q", format=".2f") for q in (10, 50, 90)]
    chart = alt.layer(
        rule.encode(alt.X("llm_seconds_p10:Q"), alt.X2("llm_seconds_p90:Q"), _SCORE),
        rule.encode(x, alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_point(filled=True, size=140, opacity=1).encode(
            x, _SCORE, shape=shape(targets), tooltip=["target:N", *seconds, *_RATES]
        ),
    ).properties(height=280)
    names = ["llm_seconds_p10", "llm_seconds_p50", "llm_seconds_p90"]
    return Figure(
        id_,
        title,
        "Median time to a whole answer; the line spans the middle 80 %. Up and left is better.",
        spec(chart, timed.select("target", *names, "pass_rate", "low", "high"),
             "Pass rate against seconds to the whole answer"),
        ["target", "pass rate", INTERVAL, "10th percentile", "median", "90th percentile"],
        [[line["target"], *_score(line), *(number(line[name], 2, " s") for name in names)]
         for line in lines.to_dicts()],
    )  # fmt: skip


def speed(table: pl.DataFrame, targets: Sequence[str], column: str, title: str) -> Figure:
    """The distribution of a measure of speed, as its percentiles."""
    unit, digits = ("s", 2) if column.endswith("_seconds") else ("tokens/s", 0)
    lines = stats.percentiles(table, ["target"], SPREAD)
    names = {f"{column}_p{q}": f"p{q}" for q in SPREAD}
    lines = lines.select("target", *names).rename(names)
    known = lines.drop_nulls()
    if known.is_empty():
        return Figure(column, title, f"No row has {column}.")
    across = _across(pl.concat([known["p5"], known["p95"]]))
    names_ = alt.Axis(labelExpr=short("inAxis"))
    base = alt.Chart(ROWS).encode(
        alt.Y("target:N", sort=list(targets), title=None, axis=names_),
        color=by_target(targets, legend=False),
    )
    tooltip = ["target:N", *(alt.Tooltip(f"p{q}:Q", format=f".{digits}f") for q in SPREAD)]
    chart = alt.layer(
        base.mark_rule(size=2).encode(alt.X("p5:Q", title=unit, **across), alt.X2("p95:Q")),
        base.mark_bar(size=14, opacity=0.55).encode(
            alt.X("p25:Q"), alt.X2("p75:Q"), tooltip=tooltip
        ),
        base.mark_tick(size=20, thickness=3).encode(alt.X("p50:Q"), tooltip=tooltip),
    ).properties(height=ROW * len(targets))
    found = {line["target"]: line for line in lines.to_dicts()}
    return Figure(
        column,
        title,
        "Line: 5th to 95th percentile of the answers; bar: the middle half; tick: the median.",
        spec(chart, known, title),
        ["target", *(f"{q}th percentile" if q != 50 else "median" for q in SPREAD)],
        [[target, *(number(found[target][f"p{q}"], digits, f" {unit}") for q in SPREAD)]
         for target in targets],
    )  # fmt: skip


def several(table: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """What more answers to the same problem bring: pass@k and pass^k."""
    id_, title = "several", "One of k, all of k"
    runs = stats.summarize(table, ["target", "problem_id"])["scored"].max()
    if not isinstance(runs, int) or runs < 2:
        return Figure(id_, title, "Each problem ran once: only repeated runs show stability.")
    ks = [k for k in SEVERAL if k <= runs]
    lines = stats.pass_rates_at(table, ["target"], ks)
    long = lines.unpivot(
        ["pass_at_k", "pass_hat_k"], index=["target", "k", "problems"], variable_name="measure"
    ).with_columns(pl.col("measure").replace({"pass_at_k": "pass@k", "pass_hat_k": "pass^k"}))
    dash = alt.StrokeDash(
        "measure:N",
        scale=alt.Scale(domain=["pass@k", "pass^k"], range=[[1, 0], [5, 4]]),
        legend=alt.Legend(
            title=None,
            orient="top",  # that of the targets may take all the width there is below
            symbolType="stroke",
            symbolStrokeColor="#7f8a99",
            symbolSize=400,
        ),
    )
    tooltip = ["target:N", "measure:N", "k:Q", alt.Tooltip("value:Q", format=".1%"), "problems:Q"]
    base = alt.Chart(ROWS).encode(
        alt.X("k:O", title="k answers").axis(labelAngle=0),
        alt.Y("value:Q", title="share of problems", axis=PERCENT, scale=WHOLE),
        by_target(targets),
    )
    chart = alt.layer(
        base.mark_line().encode(dash),
        base.mark_point(filled=True, size=50, opacity=1).encode(
            shape(targets), detail="measure:N", tooltip=tooltip
        ),
    ).properties(height=280)
    order = {target: place for place, target in enumerate(targets)}
    return Figure(
        id_,
        title,
        "pass@k: at least one of k answers passes; pass^k: all k do. The wider apart the two, "
        "the more a model tosses coins.",
        spec(chart, long, "pass@k and pass^k of each target"),
        ["target", "k", "problems", "pass@k", INTERVAL, "pass^k", INTERVAL],
        [
            [line["target"], str(line["k"]), str(line["problems"]),
             *(cell for name in ("pass_at_k", "pass_hat_k") for cell in (
                 percent(line[name]), interval(line[f"{name}_low"], line[f"{name}_high"])))]
            for line in sorted(lines.to_dicts(), key=lambda line: order[line["target"]])
        ],
    )  # fmt: skip


def runs(table: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """The pass rate of each run."""
    id_, title = "runs", "Stability over runs"
    lines = stats.summarize(table, ["run", "target"]).sort("run", maintain_order=True)
    numbers = lines["run"].unique().sort().to_list()
    if len(numbers) < 2:
        return Figure(id_, title, "There is one run: only repeated runs show stability.")
    base = alt.Chart(ROWS).encode(
        alt.X("run:O", title="run").axis(labelAngle=0), color=by_target(targets)
    )
    bands = [base.mark_area(opacity=0.08).encode(alt.Y("low:Q"), alt.Y2("high:Q"))]
    chart = alt.layer(
        *(bands if len(targets) <= BANDS else []),
        base.mark_line().encode(_SCORE),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            _SCORE, shape=shape(targets), tooltip=["target:N", "run:O", *_RATES]
        ),
    ).properties(height=280)
    found = {(line["run"], line["target"]): line for line in lines.to_dicts()}
    return Figure(
        id_,
        title,
        with_intervals("Pass rate of each run over all problems", targets),
        spec(chart, lines.select("run", "target", "pass_rate", "low", "high"),
             "Pass rate of each target in each run"),
        ["run", *targets],
        [[str(run), *(" ".join(_score(found[run, target])) if (run, target) in found else "-"
                      for target in targets)] for run in numbers],
    )  # fmt: skip


def _score(line: dict[str, float]) -> list[str]:
    return [percent(line["pass_rate"]), interval(line["low"], line["high"])]


def _dollars(low: float | None, high: float | None) -> str:
    """Bounds of a cost; the upper one may be missing alone."""
    if low is None:
        return "-"
    return f"{low:.4f}–{high:.4f} $" if high is not None else f"from {low:.4f} $"


def _across(values: pl.Series) -> dict[str, Any]:
    """Axis and scale of a measure: logarithmic where values span much, else from 0."""
    least, most = values.min(), values.max()
    assert isinstance(least, float) and isinstance(most, float)  # noqa: PT018  # not empty
    if not (least > 0 and most / least > _WIDE):
        scale = alt.Scale(zero=True, nice=True)
        return {"axis": alt.Axis(tickCount=5), "scale": scale}
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    steps = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    low = max(step for step in steps if step <= least)
    high = min(step for step in steps if step >= most)
    marks = [step for step in steps if low <= step <= high]
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return {"axis": alt.Axis(values=marks, format="~r"), "scale": scale}
