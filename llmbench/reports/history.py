"""The trend over dated results, as a document."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from llmbench import stats
from llmbench.reports.columns import (
    DROPPED_FIRST,
    REPLAY_NOTICE,
    STATISTICS,
    Place,
    Statistic,
    row_cells,
    select,
    titles,
)
from llmbench.reports.render import Code, Document, Grid, Line, Paragraph
from llmbench.reports.sanitize import single_line

NOTE = (
    "points, p, broken, fixed: against the date before, on the problems that have not changed; "
    "broken and fixed count problems whose own change chance does not explain; "
    "of 20 dates without a change, one has a p of 0.05 or less"
)
_BARS = "▁▂▃▄▅▆▇█"


def document(lines: pl.DataFrame) -> Document:
    """Return the trend of each target, the oldest date first, from the lines of `stats.history`."""
    return Document([*_blocks(lines)], lines.to_dicts())


def columns(lines: pl.DataFrame) -> list[Statistic]:
    """Return the columns of the trend, after that of the date."""
    return select(STATISTICS, lines, Place.HISTORY)


def _blocks(lines: pl.DataFrame) -> Iterator[Paragraph | Grid]:
    if lines["replayed"].any():
        yield Paragraph([Line(REPLAY_NOTICE, "bold yellow", strong=True)])
    statistics = columns(lines)
    for (target,), group in lines.group_by(["target"], maintain_order=True):
        dates = group.to_dicts()
        yield Grid(
            head=["date", *titles(statistics)],
            rows=[[line["date"], *row_cells(statistics, line)] for line in dates],
            text_columns=1,
            title=Code(single_line(str(target))),
            styles=[_style(line) for line in dates],
            sparkline=sparkline([line["pass_rate"] for line in dates]),
            droppable=DROPPED_FIRST,
        )
    yield Paragraph([Line(NOTE)])


def sparkline(rates: Sequence[float | None]) -> str:
    """Return one bar per rate, 0..1, and a blank where there is none."""
    return "".join(" " if rate is None else _BARS[round(rate * 7)] for rate in rates)


def _style(line: Mapping[str, Any]) -> str:
    if line["p_value"] is None or line["p_value"] > stats.ALPHA:
        return ""
    return "green" if line["difference"] > 0 else "red"
