"""Figure of repairs: what share passes by each round."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from llmbench.reports.format import interval, number, percent
from llmbench.reports.html.figure import PERCENT, ROWS, WHOLE, Figure, by_target, spec
from llmbench.reports.summary import INTERVAL


def repairs(lines: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """The lines of `stats.by_round`."""
    rates = [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("pass_rate", "low", "high")]
    base = alt.Chart(ROWS).encode(
        alt.X("round:O", title="round").axis(labelAngle=0), color=by_target(targets)
    )
    rate = alt.Y("pass_rate:Q", title="pass rate by then", axis=PERCENT, scale=WHOLE)
    chart = alt.layer(
        base.mark_area(opacity=0.08).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_line(point={"filled": True, "size": 60}).encode(
            rate, tooltip=["target:N", "round:O", "attempts:Q", "passed:Q", *rates]
        ),
    ).properties(height=280)
    order = {target: place for place, target in enumerate(targets)}
    shown = lines.select("target", "round", "attempts", "passed", "pass_rate", "low", "high")
    return Figure(
        "repairs",
        "Pass rate by round",
        "Round 1 is the first answer; what does not pass is asked for again with the log of its "
        f"tests. Share of first answers that passed, themselves or repaired, with its {INTERVAL}. "
        "All other figures are of first answers alone.",
        spec(chart, shown, "Pass rate of each target by the end of each round"),
        ["target", "round", "asked", "passed", "pass rate by then", INTERVAL, "tokens", "cost"],
        [
            [line["target"], str(line["round"]), str(line["attempts"]), str(line["passed"]),
             percent(line["pass_rate"]), interval(line["low"], line["high"]),
             number(line["tokens"], 0), number(line["cost_usd"], 4, " $")]
            for line in sorted(lines.to_dicts(), key=lambda line: order[line["target"]])
        ],
    )  # fmt: skip
