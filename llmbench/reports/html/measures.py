"""Figures of what answers took: cost, latency, speed; and of how much runs differ."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from llmbench import stats
from llmbench.reports.html.figure import PERCENT, ROW, ROWS, WHOLE, Figure, by_target, spec
from llmbench.reports.numbers import interval, number, percent
from llmbench.reports.summary import INTERVAL

SPREAD = (5, 25, 50, 75, 95)
"""Percentiles that show a distribution."""

SEVERAL = (1, 2, 3, 4, 5, 8, 10, 15, 20, 30, 50, 100)
"""Numbers of answers for pass@k and pass^k, as far as there are so many runs."""

FEW = alt.Axis(tickCount=5)
_SCORE = alt.Y("pass_rate:Q", title="pass rate", axis=PERCENT, scale=WHOLE)
_RATES = [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("pass_rate", "low", "high")]
_WIDE = 20  # where the most is so many times the least, a scale is logarithmic


def cost(table: pl.DataFrame, lines: pl.DataFrame) -> Figure:
    """Score against what an answer that passes costs."""
    id_, title = "cost", "Score against cost"
    lines = lines.join(
        stats.cost_bounds(table, ["target"]), on="target", how="left", maintain_order="left"
    )
    priced = lines.filter(pl.col("cost_per_solved_usd").is_not_null())
    if priced.is_empty():
        note = "No answer that passed has a known cost: name prices with --prices when you run."
        return Figure(id_, title, note)
    names = ["cost_low", "cost_per_solved_usd", "cost_high"]
    scale = _scale(pl.concat([priced[name] for name in names]).drop_nulls())
    x = alt.X("cost_per_solved_usd:Q", title="USD per answer that passes", axis=FEW, scale=scale)
    base = alt.Chart(ROWS).encode(color=by_target(lines["target"].to_list()))
    rule = base.mark_rule(size=2, opacity=0.4)
    usd = [alt.Tooltip(f"{name}:Q", format=".4f") for name in names]
    chart = alt.layer(
        rule.encode(alt.X("cost_low:Q"), alt.X2("cost_high:Q"), _SCORE),
        rule.encode(x, alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_point(filled=True, size=140, opacity=1).encode(
            x, _SCORE, tooltip=["target:N", *usd, *_RATES]
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
    scale = _scale(pl.concat([timed["llm_seconds_p10"], timed["llm_seconds_p90"]]))
    x = alt.X("llm_seconds_p50:Q", title="seconds to the whole answer", axis=FEW, scale=scale)
    base = alt.Chart(ROWS).encode(color=by_target(lines["target"].to_list()))
    rule = base.mark_rule(size=2, opacity=0.4)
    seconds = [alt.Tooltip(f"llm_seconds_p{q}:Q", format=".2f") for q in (10, 50, 90)]
    chart = alt.layer(
        rule.encode(alt.X("llm_seconds_p10:Q"), alt.X2("llm_seconds_p90:Q"), _SCORE),
        rule.encode(x, alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_point(filled=True, size=140, opacity=1).encode(
            x, _SCORE, tooltip=["target:N", *seconds, *_RATES]
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
    scale = _scale(pl.concat([known["p5"], known["p95"]]))
    base = alt.Chart(ROWS).encode(
        alt.Y("target:N", sort=list(targets), title=None), color=by_target(targets, legend=False)
    )
    tooltip = ["target:N", *(alt.Tooltip(f"p{q}:Q", format=f".{digits}f") for q in SPREAD)]
    chart = alt.layer(
        base.mark_rule(size=2).encode(
            alt.X("p5:Q", title=unit, axis=FEW, scale=scale), alt.X2("p95:Q")
        ),
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
    runs = stats.rates(table, ["target", "problem_id"])["scored"].max()
    if not isinstance(runs, int) or runs < 2:
        return Figure(id_, title, "Each problem ran once: only repeated runs show stability.")
    ks = [k for k in SEVERAL if k <= runs]
    lines = stats.pass_rates_at(table, ["target"], ks)
    long = lines.unpivot(
        ["pass_at_k", "pass_hat_k"], index=["target", "k", "problems"], variable_name="measure"
    ).with_columns(pl.col("measure").replace({"pass_at_k": "pass@k", "pass_hat_k": "pass^k"}))
    dash = alt.StrokeDash(
        "measure:N", legend=alt.Legend(title=None, symbolType="stroke", symbolStrokeColor="#7f8a99")
    )
    dash = dash.scale(domain=["pass@k", "pass^k"], range=[[1, 0], [5, 4]])
    tooltip = ["target:N", "measure:N", "k:Q", alt.Tooltip("value:Q", format=".1%"), "problems:Q"]
    chart = (
        alt.Chart(ROWS)
        .mark_line(point={"filled": True, "size": 50})
        .encode(
            alt.X("k:O", title="k answers").axis(labelAngle=0),
            alt.Y("value:Q", title="share of problems", axis=PERCENT, scale=WHOLE),
            by_target(targets),
            dash,
            tooltip=tooltip,
        )
        .properties(height=280)
    )
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
    lines = stats.rates(table, ["run", "target"]).sort("run", maintain_order=True)
    numbers = lines["run"].unique().sort().to_list()
    if len(numbers) < 2:
        return Figure(id_, title, "There is one run: only repeated runs show stability.")
    base = alt.Chart(ROWS).encode(
        alt.X("run:O", title="run").axis(labelAngle=0), color=by_target(targets)
    )
    chart = alt.layer(
        base.mark_area(opacity=0.08).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_line(point={"filled": True, "size": 60}).encode(
            _SCORE, tooltip=["target:N", "run:O", *_RATES]
        ),
    ).properties(height=280)
    found = {(line["run"], line["target"]): line for line in lines.to_dicts()}
    return Figure(
        id_,
        title,
        f"Pass rate of each run over all problems, with its {INTERVAL}.",
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


def _scale(values: pl.Series) -> alt.Scale:
    """Logarithmic where values span much, else from 0."""
    least, most = values.min(), values.max()
    assert isinstance(least, float) and isinstance(most, float)  # noqa: PT018  # not empty
    wide = least > 0 and most / least > _WIDE
    return alt.Scale(type="log", nice=True) if wide else alt.Scale(zero=True, nice=True)
