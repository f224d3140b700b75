"""Figures of pass rates: leaderboard, outcomes, discrimination, languages, history."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from llmbench import stats
from llmbench.records import Outcome
from llmbench.reports import history as history_report
from llmbench.reports.columns import (
    INTERVAL,
    INTERVAL_TITLE,
    ITEM_STATISTICS,
    PASS_RATE,
    row_cells,
    titles,
)
from llmbench.reports.html.figure import (
    BANDS,
    NAMES,
    PERCENT,
    RATE_COLUMNS,
    RATE_TOOLTIPS,
    ROW,
    ROWS,
    WHOLE,
    Figure,
    by_target,
    interval_band,
    shape,
    spec,
    with_intervals,
)

RATE = alt.X("pass_rate:Q", title="pass rate", axis=PERCENT, scale=WHOLE)
COLOURS = {
    Outcome.PASSED: "#2f9e6e",
    Outcome.FAILED: "#d9603b",
    Outcome.COMPILE_ERROR: "#b5479d",
    Outcome.TIMEOUT: "#d69e2e",
    Outcome.OUT_OF_MEMORY: "#8b5cf6",
    Outcome.NO_CODE: "#64748b",
    Outcome.TRUNCATED: "#3b82c4",
    Outcome.PROVIDER_ERROR: "#94a3b8",
    Outcome.SANDBOX_ERROR: "#cbd5e1",
}
"""Colours of the outcomes, which suit a light and a dark page."""


def ranked(table: pl.DataFrame) -> pl.DataFrame:
    """Return `stats.summarize` by target, the best first."""
    lines = stats.summarize(table, ["target"])
    return lines.sort("pass_rate", "target", descending=[True, False], nulls_last=True)


def leaderboard(lines: pl.DataFrame) -> Figure:
    """Return the figure of the targets in their order, with intervals."""
    targets = lines["target"].to_list()
    rows = alt.Y("target:N", sort=targets, title=None, axis=NAMES)
    base = alt.Chart(ROWS).encode(y=rows, color=by_target(targets, legend=False))
    chart = alt.layer(
        base.mark_rule(size=3, opacity=0.45).encode(alt.X("ci_low:Q"), alt.X2("ci_high:Q")),
        base.mark_point(filled=True, size=130, opacity=1).encode(
            RATE, tooltip=["target:N", *RATE_TOOLTIPS]
        ),
    ).properties(height=ROW * len(targets))
    return Figure(
        "leaderboard",
        "Pass rates",
        f"Share of the scored attempts that passed all tests, with its {INTERVAL_TITLE}, clustered "
        "by problem. Overlapping intervals do not mean that two targets are alike: the groups in "
        "the table pair them by problem, which is more sensitive.",
        spec(
            chart,
            lines.select("target", *RATE_COLUMNS),
            "Pass rate of each target with its interval, best first",
        ),
    )


def outcomes(lines: pl.DataFrame) -> Figure:
    """Return the figure of the outcomes of each target's attempts."""
    targets = lines["target"].to_list()
    names = [name.value for name in Outcome if lines[name.value].sum()]
    counts = lines.select("target", *names)
    long = counts.unpivot(names, index="target", variable_name="outcome", value_name="attempts")
    chart = (
        alt.Chart(ROWS)
        .mark_bar()
        .encode(
            alt.X("attempts:Q", stack="normalize", axis=PERCENT, title="share of attempts"),
            alt.Y("target:N", sort=targets, title=None, axis=NAMES),
            alt.Color(
                "outcome:N",
                sort=names,
                legend=alt.Legend(title=None),
                scale=alt.Scale(domain=names, range=[COLOURS[Outcome(name)] for name in names]),
            ),
            order=alt.Order("order:Q"),
            tooltip=["target:N", "outcome:N", "attempts:Q"],
        )
        .properties(height=ROW * len(targets))
    )
    order = pl.col("outcome").replace_strict(names, list(range(len(names))), return_dtype=pl.Int64)
    return Figure(
        "outcomes",
        "How attempts ended",
        "Errors of the server or the sandbox are not the model's failure and in no rate.",
        spec(chart, long.with_columns(order.alias("order")), "Outcomes of each target"),
        ["target", *names],
        [[line["target"], *(str(line[name]) for name in names)] for line in lines.to_dicts()],
    )


def discrimination(table: pl.DataFrame) -> Figure:
    """Return the table of difficulty and discrimination of each problem, the best first."""
    items = stats.item_statistics(table).sort(
        "discrimination", "problem_id", descending=[True, False], nulls_last=True
    )
    note = (
        "Discrimination is the correlation over targets between the pass rate on a problem and "
        "that on all others (item-rest): near 1 the better targets solve it, near 0 it tells "
        "nothing, and below 0 its tests may be wrong. It needs 3 targets."
    )
    return Figure(
        "discrimination",
        "Which problems tell targets apart",
        f"{note} {stats.saturation(items)}".strip(),
        None,
        ["problem", *titles(ITEM_STATISTICS)],
        [
            [line["problem_id"], *row_cells(ITEM_STATISTICS, line)]
            for line in items.iter_rows(named=True)
        ],
    )


def languages(table: pl.DataFrame, targets: Sequence[str]) -> Iterator[Figure]:
    """Yield the figure of pass rates by language, where there are several."""
    lines = stats.summarize(table, ["lang", "target"]).rename({"lang": "group"})
    names = sorted(lines["group"].unique())
    if len(names) < 2:
        return
    base = alt.Chart(ROWS).encode(
        alt.Y("group:N", sort=names, title=None, axis=NAMES),
        yOffset=alt.YOffset("target:N", sort=list(targets)),
        color=by_target(targets),
    )
    tooltip = ["group:N", "target:N", "problems:Q", *RATE_TOOLTIPS]
    step = max(9, min(16, 48 // len(targets)))
    chart = alt.layer(
        base.mark_rule(size=2, opacity=0.45).encode(alt.X("ci_low:Q"), alt.X2("ci_high:Q")),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            RATE, shape=shape(targets), tooltip=tooltip
        ),
    ).properties(height=step * (len(targets) + 1) * len(names))
    by_key = {(line["group"], line["target"]): line for line in lines.to_dicts()}
    cells = [[name, *(_rate(by_key.get((name, target))) for target in targets)] for name in names]
    rows = lines.select("group", "target", "problems", *RATE_COLUMNS)
    yield Figure(
        "languages",
        "By language",
        f"Pass rates with their {INTERVAL_TITLE}s.",
        spec(chart, rows, "Pass rate of each target by language"),
        ["language", *targets],
        cells,
    )


def _rate(line: Mapping[str, Any] | None) -> str:
    return "-" if line is None else f"{PASS_RATE.cell(line)} ({INTERVAL.cell(line)})"


def history(lines: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """Return the figure of the pass rates over dates, from the lines of `stats.history`."""
    base = alt.Chart(ROWS).encode(
        alt.X("date:O", title=None).axis(labelAngle=-35, labelOverlap=True),
        color=by_target(targets),
    )
    flaky = alt.Tooltip("flaky:Q", format=".1%")
    tooltip = ["target:N", "date:O", *RATE_TOOLTIPS, flaky]
    rate = alt.Y("pass_rate:Q", title="pass rate", axis=PERCENT, scale=WHOLE)
    chart = alt.layer(
        *([interval_band(base)] if len(targets) <= BANDS else []),
        base.mark_line().encode(rate),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            rate, shape=shape(targets), tooltip=tooltip
        ),
    ).properties(height=300)
    statistics = history_report.columns(lines)
    return Figure(
        "history",
        "History over dates",
        f"{with_intervals('Pass rate at each date', targets)} In the table, {history_report.NOTE}.",
        spec(
            chart,
            lines.select("target", "date", *RATE_COLUMNS, "flaky"),
            "Pass rate of each target over dates",
        ),
        ["target", "date", *titles(statistics)],
        [[line["target"], line["date"], *row_cells(statistics, line)] for line in lines.to_dicts()],
    )
