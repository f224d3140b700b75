"""A figure of the page: a plot, and the table of its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import altair as alt
import polars as pl

from llmbench.reports.columns import INTERVAL_TITLE

Cells = Sequence[str]
Spec = dict[str, Any]
Chart = alt.Chart | alt.LayerChart | alt.FacetChart

PERCENT = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1])
WHOLE = alt.Scale(domain=[0, 1])
SHAPES = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "triangle-right")
BANDS = 4
"""Most targets whose intervals are drawn as bands; more bands would hide one another."""

ROW = 30
"""Height of a target's row in pixels."""

RATE_COLUMNS = ("pass_rate", "ci_low", "ci_high")
RATE_TOOLTIPS = [alt.Tooltip(f"{name}:Q", format=".1%") for name in RATE_COLUMNS]


class HeatCell(NamedTuple):
    """A rate of a heat map, 0..1 or None where nothing was scored, and its interval if wanted."""

    rate: float | None
    text: str
    interval: str = ""


class HeatRow(NamedTuple):
    """A row of a heat map: its name, a remark, and a cell per column, None where there is none."""

    name: str
    remark: str
    cells: Sequence[HeatCell | None]


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A table whose cells are coloured by their rates.

    Attributes:
        head: the headings; the first is that of the names.
        rows, folded: the rows that are visible, and those behind a fold.
        summary: the sentence on the fold.
        choose: True if a cell selects its attempts: names are problems and columns are targets.
    """

    head: Cells
    rows: Sequence[HeatRow]
    folded: Sequence[HeatRow] = ()
    summary: str = ""
    choose: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot and its table, or a heat map, under a title.

    Attributes:
        id: the name of its element in the page.
        title: the heading.
        note: sentences about the plot, or the reason why there is none.
        spec: the plot in Vega-Lite, None where there is nothing to plot.
        head: the headings of the table.
        rows: the rows of the table, whose first cell names the row.
        heat_map: the heat map, None where there is none.
    """

    id: str
    title: str
    note: str
    spec: Spec | None = None
    head: Cells = ()
    rows: Sequence[Cells] = ()
    heat_map: HeatMap | None = None


def spec(chart: Chart, rows: pl.DataFrame, description: str) -> Spec:
    """Return a plot of `rows` as wide as the page; a screen reader reads its `description`.

    `chart` is a chart of `ROWS`. The rows are added last, so that Altair validates the plot alone.
    """
    plot: Spec = chart.properties(width="container", description=description).to_dict()
    del plot["config"]  # the page has its own, light or dark
    rounded = rows.with_columns(pl.col(pl.Float64).round(6))
    return plot | {"datasets": {"rows": rounded.to_dicts()}}


ROWS = alt.NamedData(name="rows")


def by_target(targets: Sequence[str], *, legend: bool = True) -> alt.Color:
    """Return the colour of a target, the same in all plots."""
    scale = alt.Scale(domain=list(targets))
    return alt.Color("target:N", scale=scale, legend=_legend() if legend else None)


def shape(targets: Sequence[str]) -> alt.Shape:
    """Return the shape of a target's points, beside its colour for readers who see no colours."""
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(targets))]
    scale = alt.Scale(domain=list(targets), range=shapes)
    return alt.Shape("target:N", scale=scale, legend=_legend())


def _legend() -> alt.Legend:
    """Return a legend of the targets that the plot shows, which the page's parameter lists."""
    return alt.Legend(title=None, labelExpr=short("inLegend"), values=alt.ExprRef("shown"))


def interval_band(base: alt.Chart) -> alt.Chart:
    """Return the intervals of the rates of `base` as bands."""
    band: alt.Chart = base.mark_area(opacity=0.08).encode(alt.Y("ci_low:Q"), alt.Y2("ci_high:Q"))
    return band


def short(parameter: str) -> str:
    """Return an expression for a name that may be long.

    `parameter` names the page's parameter that maps names to short ones which fit.
    """
    return f"{parameter}[datum.label] || datum.label"


NAMES = alt.Axis(labelExpr=short("inAxis"))
"""The axis of targets or groups."""


def with_intervals(subject: str, targets: Sequence[str]) -> str:
    """Return a note on lines whose intervals are drawn as bands, or are in the table alone."""
    if len(targets) <= BANDS:
        return f"{subject}, with its {INTERVAL_TITLE}."
    return f"{subject}. The table has the {INTERVAL_TITLE}s."
