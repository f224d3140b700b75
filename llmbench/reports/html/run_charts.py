"""Figures of repeated runs: their agreement, pass@k, and the rate of each run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from llmbench import stats
from llmbench.reports.columns import (
    INTERVAL,
    INTERVAL_TITLE,
    PASS_RATE,
    STABILITY_NOTE,
    STABILITY_STATISTICS,
    row_cells,
    titles,
)
from llmbench.reports.format import interval, percent
from llmbench.reports.html.figure import (
    BANDS,
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
    interval_band,
    shape,
    spec,
    with_intervals,
)
from llmbench.texts import counted

KS = (1, 2, 3, 4, 5, 8, 10, 15, 20, 30, 50, 100)
"""Numbers of answers for pass@k and pass^k, as far as there are so many runs."""

SCORE = (PASS_RATE, INTERVAL)
_RATE = alt.Y("pass_rate:Q", title="pass rate", axis=PERCENT, scale=WHOLE)


def figures(table: pl.DataFrame, targets: Sequence[str]) -> list[Figure]:
    """Return the figures of repeated runs, or one that says why there is none."""
    scored = stats.summarize(table, ["target", "problem_id"])["scored"].max()
    if not isinstance(scored, int) or scored < 2:
        return [Figure("runs", "Stability over runs", _why_no_repeats(table))]
    return [
        *agreement(table, targets),
        per_run(table, targets),
        pass_at_k(table, targets, scored),
    ]


def agreement(table: pl.DataFrame, targets: Sequence[str]) -> Iterator[Figure]:
    """Yield the figure of the agreement between runs, where problems ran repeatedly."""
    known = {line["target"]: line for line in stats.stability(table, ["target"]).to_dicts()}
    lines = [known[target] for target in targets if target in known]
    if not lines:
        return
    rows = alt.Y("target:N", sort=list(targets), title=None, axis=NAMES)
    base = alt.Chart(ROWS).encode(y=rows, color=by_target(targets, legend=False))
    bounds = alt.X("agreement_ci_low:Q"), alt.X2("agreement_ci_high:Q")
    rate = alt.X("agreement:Q", title="agreement", axis=PERCENT, scale=WHOLE)
    tooltip = ["target:N", alt.Tooltip("agreement:Q", format=".1%"), "problems:Q"]
    chart = alt.layer(
        base.mark_rule(size=3, opacity=0.45).encode(*bounds),
        base.mark_point(filled=True, size=130, opacity=1).encode(rate, tooltip=tooltip),
    ).properties(height=ROW * len(lines))
    names = ["target", "problems", "agreement", "agreement_ci_low", "agreement_ci_high"]
    yield Figure(
        "agreement",
        "Agreement of runs",
        f"{STABILITY_NOTE[0].upper()}{STABILITY_NOTE[1:]}.",
        spec(
            chart,
            pl.DataFrame(lines).select(names),
            "Agreement between two runs of the same problem, with its interval",
        ),
        ["target", *titles(STABILITY_STATISTICS)],
        [[line["target"], *row_cells(STABILITY_STATISTICS, line)] for line in lines],
    )


def pass_at_k(table: pl.DataFrame, targets: Sequence[str], runs: int) -> Figure:
    """Return the figure of pass@k and pass^k over the number of answers k, up to `runs`."""
    id_, title = "pass-at-k", "One of k, all of k"
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


def _why_no_repeats(table: pl.DataFrame) -> str:
    """Return the reason why no problem of a target has two scored runs."""
    need = "only repeated runs show stability."
    lines = stats.summarize(table, ["target", "problem_id"])
    if lines["attempts"].max() == 1:
        return f"Each problem ran once: {need}"
    unscored = int(table["score"].null_count())
    return (
        f"No problem has two scored runs of the same target: {need} "
        f"{counted(unscored, 'attempt', 'attempts')} of {len(table)} ended with an error of the "
        "server or the sandbox."
    )
