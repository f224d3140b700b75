"""Figure of repairs: pass rate by round."""

from collections.abc import Sequence

import altair as alt
import polars as pl

from llmbench.reports.columns import INTERVAL_TITLE, REPAIR_STATISTICS, row_cells, select, titles
from llmbench.reports.html.figure import (
    PERCENT,
    RATE_COLUMNS,
    RATE_TOOLTIPS,
    ROWS,
    WHOLE,
    Figure,
    by_target,
    interval_band,
    spec,
)


def repairs(lines: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """Return the figure of the lines of `stats.repair_rounds`."""
    base = alt.Chart(ROWS).encode(
        alt.X("round:O", title="round").axis(labelAngle=0), color=by_target(targets)
    )
    rate = alt.Y("pass_rate:Q", title="pass rate by then", axis=PERCENT, scale=WHOLE)
    tooltip = ["target:N", "round:O", "attempts:Q", "passed:Q", *RATE_TOOLTIPS]
    chart = alt.layer(
        interval_band(base),
        base.mark_line(point={"filled": True, "size": 60}).encode(rate, tooltip=tooltip),
    ).properties(height=280)
    order = {target: rank for rank, target in enumerate(targets)}
    data = lines.select("target", "round", "attempts", "passed", *RATE_COLUMNS)
    statistics = select(REPAIR_STATISTICS, lines)
    return Figure(
        "repairs",
        "Pass rate by round",
        "Round 1 is the first answer; a repair is a new answer after the model has seen the log of "
        "its failed tests. Share of first answers that passed, themselves or repaired, with its "
        f"{INTERVAL_TITLE}. All other figures are of first answers alone.",
        spec(chart, data, "Pass rate of each target by the end of each round"),
        ["target", *titles(statistics)],
        [
            [line["target"], *row_cells(statistics, line)]
            for line in sorted(lines.to_dicts(), key=lambda line: order[line["target"]])
        ],
    )
