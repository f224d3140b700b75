"""A figure: a plot, and the table that says the same in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import polars as pl

from llmbench.reports.summary import INTERVAL

Cells = Sequence[str]
Spec = dict[str, Any]

PERCENT = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1])
WHOLE = alt.Scale(domain=[0, 1])
SHAPES = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "triangle-right")
BANDS = 4
"""Most targets whose intervals are drawn as bands; of more, nothing could be seen."""

ROW = 30
"""Height of a target's row in pixels."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What is shown under a title.

    `spec` is Vega-Lite, None where there is nothing to plot and `note` says why; `head` and `rows`
    are the table, whose first column names the row. `links` has, for each row, what its cells
    select among the attempts. `open` is True where the table is shown at once, `tall` where the
    plot may need a scroll bar of its own.
    """

    id: str
    title: str
    note: str
    spec: Spec | None = None
    head: Cells = ()
    rows: Sequence[Cells] = ()
    links: Sequence[Sequence[Mapping[str, str] | None]] = field(default_factory=list)
    open: bool = False
    tall: bool = False


def spec(
    chart: alt.Chart | alt.LayerChart | alt.FacetChart, rows: pl.DataFrame, about: str
) -> Spec:
    """The plot with its rows, as wide as the page lets it be; `about` is read aloud.

    `chart` is of `ROWS`. The rows are put in last, so that only the plot itself is checked.
    """
    made: Spec = chart.properties(width="container", description=about).to_dict()
    del made["config"]  # the page has its own, light or dark
    rounded = rows.with_columns(pl.col(pl.Float64).round(6))
    return made | {"datasets": {"rows": rounded.to_dicts()}}


ROWS = alt.NamedData(name="rows")


def by_target(targets: Sequence[str], *, legend: bool = True) -> alt.Color:
    """The colour of a target, the same in all plots."""
    scale = alt.Scale(domain=list(targets))
    return alt.Color("target:N", scale=scale, legend=_legend() if legend else None)


def shape(targets: Sequence[str]) -> alt.Shape:
    """The shape of a target's points, for those who cannot tell its colour; with `by_target`."""
    shapes = [SHAPES[place % len(SHAPES)] for place in range(len(targets))]
    scale = alt.Scale(domain=list(targets), range=shapes)
    return alt.Shape("target:N", scale=scale, legend=_legend())


def _legend() -> alt.Legend:
    return alt.Legend(title=None, labelExpr=short("inLegend"))


def short(most: str) -> str:
    """An expression for a name that is too long: its last part, without its middle if need be.

    `most` names the parameter of the page that has the number of letters there is room for.
    """
    last, half = "peek(split(datum.label, '/'))", f"floor({most} / 2)"
    cut = f"slice({last}, 0, {half} - 1) + '…' + slice({last}, -{half})"
    part = f"length({last}) + 2 > {most} ? {cut} : '…/' + {last}"
    return f"length(datum.label) > {most} ? ({part}) : datum.label"


def with_intervals(what: str, targets: Sequence[str]) -> str:
    """A note on lines that have their intervals as bands, or in the table alone."""
    if len(targets) <= BANDS:
        return f"{what}, with its {INTERVAL}."
    return f"{what}. The table has the {INTERVAL}s."
