"""The trend over nights as a table for the terminal, as Markdown, and as JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from llmbench import stats
from llmbench.reports.sanitize import single_line
from llmbench.reports.summary import INTERVAL, NOT_MODEL

HEAD = (
    *("night", "pass_rate", INTERVAL, "points", "p", "broken", "fixed"),
    *("flaky", "scored", "TTFT", "tokens/s", "cost"),
)
NOTE = (
    "points, p, broken, fixed: against the night before, on the problems that have not changed; "
    "of 20 nights without a change, one has a p of 0.05 or less"
)
_BARS = "▁▂▃▄▅▆▇█"


def text(lines: pl.DataFrame) -> Iterator[RenderableType]:
    """The trend of each target, the oldest night first."""
    if lines["replayed"].any():
        yield Text(NOT_MODEL, style="bold yellow")
    for target, nights in _targets(lines):
        rates = [night["pass_rate"] for night in nights]
        table = Table(title=f"{single_line(target)}  {sparkline(rates)}", title_justify="left")
        for name in HEAD:
            table.add_column(name, justify="left" if name == "night" else "right")
        for night in nights:
            table.add_row(*map(Text, cells(night)), style=_style(night))
        yield table
    yield Text(NOTE)


def markdown(lines: pl.DataFrame) -> str:
    """The trend of each target as Markdown tables."""
    parts = [f"**{NOT_MODEL}**"] if lines["replayed"].any() else []
    for target, nights in _targets(lines):
        rows = [HEAD, ["---", *["---:"] * (len(HEAD) - 1)], *map(cells, nights)]
        parts.append(f"### `{single_line(target).replace('`', '')}`")
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join([*parts, NOTE]) + "\n"


def as_json(lines: pl.DataFrame) -> str:
    """The trend as a JSON list, one object per target and night."""
    return json.dumps(lines.to_dicts(), indent=2) + "\n"


def sparkline(rates: Sequence[float | None]) -> str:
    """Rates, 0..1, as one bar each; a blank where there is none."""
    return "".join(" " if rate is None else _BARS[round(rate * 7)] for rate in rates)


def _targets(lines: pl.DataFrame) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for (target,), nights in lines.group_by(["target"], maintain_order=True):
        yield str(target), nights.to_dicts()


def _style(night: dict[str, Any]) -> str:
    if night["p_value"] is None or night["p_value"] > stats.ALPHA:
        return ""
    return "green" if night["difference"] > 0 else "red"


def cells(night: dict[str, Any]) -> list[str]:
    """A line of `history` under the titles of `HEAD`."""
    low, high, cost = night["low"], night["high"], night["cost_usd"]
    return [
        night["night"],
        _shown(night["pass_rate"], "{:.1%}"),
        "-" if low is None else f"{100 * low:.0f}–{high:.0%}",
        _shown(None if night["difference"] is None else 100 * night["difference"], "{:+.1f}"),
        _shown(night["p_value"], "{:.2g}"),
        _shown(night["broken"], "{}"),
        _shown(night["fixed"], "{}"),
        _shown(night["flaky"], "{:.0%}"),
        f"{night['scored']}/{night['attempts']}",
        _shown(night["ttft_seconds"], "{:.2f} s"),
        _shown(night["tokens_per_second"], "{:.0f}"),
        _shown(cost, "{:.4f} $"),
    ]


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
