"""Heat maps of pass rates: problems and tags by target."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from llmbench import stats
from llmbench.reports.columns import INTERVAL, INTERVAL_TITLE, PASS_RATE
from llmbench.reports.format import whole_percent
from llmbench.reports.html.figure import Figure, HeatCell, HeatMap, HeatRow
from llmbench.texts import counted

MOST_PROBLEMS = 100
"""Problems that a heat map shows unfolded, the hardest."""

MOST_TAGS = 12
"""Tags that a heat map shows unfolded, those with the largest difference between targets."""

_Lines = Mapping[tuple[str, str], Mapping[str, Any]]


def problems(table: pl.DataFrame, targets: Sequence[str]) -> Figure:
    """Return the heat map of pass rates by problem and target, the hardest problems first."""
    hardest = stats.summarize(table, ["problem_id", "lang"]).sort(
        "pass_rate", "problem_id", nulls_last=True
    )
    difficulties = dict(table.select("problem_id", "difficulty").iter_rows())
    lines = _by_name(stats.summarize(table, ["problem_id", "target"]), "problem_id")
    rows = [
        HeatRow(
            id_,
            ", ".join(filter(None, (lang, difficulties[id_]))),
            [_cell(lines.get((id_, target))) for target in targets],
        )
        for id_, lang in hardest.select("problem_id", "lang").iter_rows()
    ]
    folded = rows[MOST_PROBLEMS:]
    return Figure(
        "problems",
        "Problems × targets",
        "Pass rate of each target on each problem, the hardest first. A dash: no attempt has a "
        "score. Choose a cell to see its attempts.",
        heat_map=HeatMap(
            ["problem", *targets],
            rows[:MOST_PROBLEMS],
            folded,
            f"{counted(len(folded), 'easier problem', 'easier problems')}",
            choose=True,
        ),
    )


def tags(table: pl.DataFrame, targets: Sequence[str]) -> Iterator[Figure]:
    """Yield the heat map of the tags that several problems carry, where there are any."""
    lines = stats.by_tag(table)
    lines = lines.filter(pl.col("problems").max().over("tag") > 1)  # one problem has its own row
    if lines.is_empty():
        return
    by_name = _by_name(lines, "tag")
    rows = [
        HeatRow(
            tag,
            counted(max(line["problems"] for line in group), "problem", "problems"),
            [_cell(by_name.get((tag, target)), with_interval=True) for target in targets],
        )
        for tag, group in _by_difference(lines)
    ]
    folded = rows[MOST_TAGS:]
    order = "the largest difference between targets first"
    yield Figure(
        "tags",
        "By tag",
        f"Pass rates with their {INTERVAL_TITLE}s, of the tags that several problems carry: "
        f"{order if len(targets) > 1 else 'the lowest first'}. Few problems make large differences "
        "by chance.",
        heat_map=HeatMap(
            ["tag", *targets],
            rows[:MOST_TAGS],
            folded,
            counted(len(folded), "more tag", "more tags"),
        ),
    )


def _by_difference(lines: pl.DataFrame) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the lines of each tag, those with the largest difference between targets first."""
    groups = [
        (str(tag), group.to_dicts())
        for (tag,), group in lines.group_by(["tag"], maintain_order=True)
    ]

    def order(item: tuple[str, list[dict[str, Any]]]) -> tuple[float, float, str]:
        rates = [line["pass_rate"] for line in item[1] if line["pass_rate"] is not None]
        least, most = min(rates, default=1.0), max(rates, default=1.0)
        return least - most, least, item[0]

    return sorted(groups, key=order)


def _by_name(lines: pl.DataFrame, name: str) -> _Lines:
    return {(line[name], line["target"]): line for line in lines.iter_rows(named=True)}


def _cell(line: Mapping[str, Any] | None, *, with_interval: bool = False) -> HeatCell | None:
    if line is None:
        return None
    rate = line[PASS_RATE.keys[0]]
    interval = INTERVAL.cell(line).removesuffix("%") if with_interval and rate is not None else ""
    return HeatCell(rate, whole_percent(rate), interval)
