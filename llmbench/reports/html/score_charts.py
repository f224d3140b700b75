"""Figures of what passed: leaderboard, outcomes, problems, languages and tags, nights."""

from collections.abc import Iterator, Sequence

import altair as alt
import polars as pl

from llmbench import stats
from llmbench.records import Outcome
from llmbench.reports import history
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

NAMES = alt.Axis(labelExpr=short("inAxis"))
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
"""Of the outcomes, on light and dark ground alike."""

COSTS = {"cost_usd": "cost", "cost_per_solved_usd": "cost per solved"}
LABELLED = 60
"""Most problems whose heat map has its rates written in it."""


def ranked(table: pl.DataFrame) -> pl.DataFrame:
    """`stats.rates` of each target, the best first."""
    lines = stats.summarize(table, ["target"])
    return lines.sort("pass_rate", "target", descending=[True, False], nulls_last=True)


def leaderboard(lines: pl.DataFrame) -> Figure:
    """The targets in their order, with intervals."""
    targets = lines["target"].to_list()
    rows_ = alt.Y("target:N", sort=targets, title=None, axis=NAMES)
    tooltip = [
        alt.Tooltip("target:N"),
        *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("pass_rate", "low", "high")),
    ]
    base = alt.Chart(ROWS).encode(y=rows_, color=by_target(targets, legend=False))
    chart = alt.layer(
        base.mark_rule(size=3, opacity=0.45).encode(alt.X("low:Q"), alt.X2("high:Q")),
        base.mark_point(filled=True, size=130, opacity=1).encode(RATE, tooltip=tooltip),
    ).properties(height=ROW * len(targets))
    head = ["target", "pass rate", INTERVAL, "std_score", "flaky", "scored", "TTFT", "tokens/s"]
    has_cost = lines["cost_usd"].is_not_null().any()
    cells = [
        [
            line["target"],
            percent(line["pass_rate"]),
            interval(line["low"], line["high"]),
            number(line["std_score"], 1),
            percent(line["flaky"], 0),
            f"{line['scored']}/{line['attempts']}",
            number(line["ttft_seconds"], 2, " s"),
            number(line["tokens_per_second"], 0),
            *(number(line[name], 4, " $") for name in COSTS if has_cost),
        ]
        for line in lines.iter_rows(named=True)
    ]
    about = "Pass rate of each target with its interval, best first"
    return Figure(
        "leaderboard",
        "Pass rates",
        f"Share of answers that passed all tests, with its {INTERVAL}, clustered by problem. "
        "Intervals that overlap much leave open which target is better; llmbench compare, which "
        "pairs them by problem, may tell.",
        spec(chart, lines.select("target", "pass_rate", "low", "high"), about),
        [*head, *(title for title in COSTS.values() if has_cost)],
        cells,
        open=True,
    )


def outcomes(lines: pl.DataFrame) -> Figure:
    """How the attempts of each target ended."""
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
            order=alt.Order("place:Q"),
            tooltip=["target:N", "outcome:N", "attempts:Q"],
        )
        .properties(height=ROW * len(targets))
    )
    place = pl.col("outcome").replace_strict(names, list(range(len(names))), return_dtype=pl.Int64)
    return Figure(
        "outcomes",
        "How attempts ended",
        "Errors of the server or the sandbox are not the model's failure and in no rate.",
        spec(chart, long.with_columns(place.alias("place")), "Outcomes of each target"),
        ["target", *names],
        [[line["target"], *(str(line[name]) for name in names)] for line in lines.to_dicts()],
    )


def problems(table: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """The pass rate of each target on each problem, the hardest problems first."""
    hardest = stats.summarize(table, ["problem_id"]).sort(
        "pass_rate", "problem_id", nulls_last=True
    )
    ids = hardest["problem_id"].to_list()
    lines = stats.summarize(table, ["problem_id", "target"])
    step = 24 if len(ids) <= LABELLED else 14 if len(ids) <= 5 * LABELLED else 5
    base = alt.Chart(ROWS).encode(
        alt.X("target:N", sort=targets, title=None).axis(orient="top", labelExpr=short("inTop")),
        alt.Y("problem_id:N", sort=ids, title=None).axis(
            labelOverlap=True, ticks=False, labelExpr=short("inAxis")
        ),
    )  # fmt: skip
    colour = alt.Color(
        "pass_rate:Q",
        title="pass rate",
        scale=WHOLE,
        legend=alt.Legend(format=".0%", gradientLength=160, orient="top"),
    )
    tooltip = [
        alt.Tooltip("problem_id:N"),
        alt.Tooltip("target:N"),
        alt.Tooltip("pass_rate:Q", format=".0%"),
        alt.Tooltip("scored:Q"),
    ]
    cells = base.mark_rect(cursor="pointer").encode(colour, tooltip=tooltip)
    words = base.mark_text().encode(alt.Text("pass_rate:Q", format=".0%"))
    labelled = len(ids) <= LABELLED and len(targets) <= 8
    chart = alt.layer(cells, words) if labelled else alt.layer(cells)
    rates = {(line["problem_id"], line["target"]): line["pass_rate"] for line in lines.to_dicts()}
    return Figure(
        "problems",
        "Problems × targets",
        "Pass rate of each target on each problem, the hardest first. "
        "Choose a cell to see its attempts.",
        spec(
            chart.properties(height=step * len(ids)),
            lines.select("problem_id", "target", "pass_rate", "scored"),
            "Heat map of the pass rates of targets on problems",
        ),
        ["problem", *targets],
        [[id_, *(percent(rates.get((id_, target)), 0) for target in targets)] for id_ in ids],
        [[None, *({"problem": id_, "target": target} if (id_, target) in rates else None
                  for target in targets)] for id_ in ids],
        tall=len(ids) > LABELLED,
    )  # fmt: skip


def groups(table: pl.DataFrame, targets: Sequence[str]) -> Iterator[Figure]:
    """Languages and tags, where there are several."""
    languages = stats.summarize(table, ["lang", "target"]).rename({"lang": "group"})
    tags = stats.by_tag(table).rename({"tag": "group"})
    tags = tags.filter(pl.col("problems").max().over("group") > 1)  # one problem has its own row
    for lines, id_, title in (
        (languages, "languages", "By language"),
        (tags, "tags", "By tag of several problems"),
    ):
        if lines["group"].n_unique() > 1:
            yield _group(lines.sort("group", maintain_order=True), targets, id_, title)


def _group(lines: pl.DataFrame, targets: Sequence[str], id_: str, title: str) -> Figure:
    names = lines["group"].unique(maintain_order=True).to_list()
    base = alt.Chart(ROWS).encode(
        alt.Y("group:N", sort=names, title=None, axis=NAMES),
        yOffset=alt.YOffset("target:N", sort=list(targets)),
        color=by_target(targets),
    )
    tooltip = ["group:N", "target:N", "problems:Q"]
    rates = [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("pass_rate", "low", "high")]
    step = max(9, min(16, 48 // len(targets)))
    chart = alt.layer(
        base.mark_rule(size=2, opacity=0.45).encode(alt.X("low:Q"), alt.X2("high:Q")),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            RATE, shape=shape(targets), tooltip=[*tooltip, *rates]
        ),
    ).properties(height=step * (len(targets) + 1) * len(names))
    found = {(line["group"], line["target"]): line for line in lines.to_dicts()}
    cells = [[name, *(_rate(found.get((name, target))) for target in targets)] for name in names]
    return Figure(
        id_,
        title,
        f"Pass rates with their {INTERVAL}s.",
        spec(chart, lines.select("group", "target", "problems", "pass_rate", "low", "high"), title),
        [id_.removesuffix("s"), *targets],
        cells,
    )


def _rate(line: dict[str, float] | None) -> str:
    if line is None:
        return "-"
    return f"{percent(line['pass_rate'])} ({interval(line['low'], line['high'])})"


def nights(lines: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """The trend over nights."""
    base = alt.Chart(ROWS).encode(
        alt.X("night:O", title=None).axis(labelAngle=-35, labelOverlap=True),
        color=by_target(targets),
    )
    tooltip = ["target:N", "night:O", *_percents("pass_rate", "low", "high", "flaky")]
    rate = alt.Y("pass_rate:Q", title="pass rate", axis=PERCENT, scale=WHOLE)
    bands = [base.mark_area(opacity=0.08).encode(alt.Y("low:Q"), alt.Y2("high:Q"))]
    chart = alt.layer(
        *(bands if len(targets) <= BANDS else []),
        base.mark_line().encode(rate),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            rate, shape=shape(targets), tooltip=tooltip
        ),
    ).properties(height=300)
    return Figure(
        "history",
        "History over nights",
        f"{with_intervals('Pass rate of each night', targets)} In the table, {history.NOTE}.",
        spec(chart, lines.select("target", "night", "pass_rate", "low", "high", "flaky"),
             "Pass rate of each target over nights"),
        ["target", *history.HEAD],
        [[line["target"], *history.cells(line)] for line in lines.to_dicts()],
    )  # fmt: skip


def _percents(*names: str) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{name}:Q", format=".1%") for name in names]
