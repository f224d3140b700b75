"""The leaderboard of the page: a table that its script sorts and filters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from llmbench import stats
from llmbench.reports.columns import STATISTICS, Place, Statistic, row_cells, select
from llmbench.reports.format import text

GROUP = Statistic(
    "group",
    ("group",),
    text,
    meaning="targets that share a letter cannot be told apart: a paired permutation test on the "
    "problems of both finds no difference between them, at the "
    f"{stats.ALPHA:.0%} level with Holm's correction for all pairs",
)

SETTINGS = (
    Statistic(
        "quantization",
        ("quantization",),
        text,
        needs="quantization",
        meaning="format of the model's weights, as the server reports it",
    ),
    Statistic(
        "context",
        ("context_length",),
        text,
        needs="context_length",
        meaning="tokens that fit into the context of the model, as the server reports it",
    ),
)
"""Settings of the model at the server, where the results have them."""


@dataclass(frozen=True, slots=True)
class Board:
    """The leaderboard.

    Attributes:
        statistics: its columns, after that of the target.
        lines: a line of `stats.summarize` per target, the best first, with its group and settings.
        problems: the number of problems with a score.
        replayed: True where recorded answers were replayed: then nothing is ranked.
    """

    statistics: Sequence[Statistic]
    lines: Sequence[Mapping[str, Any]]
    problems: int
    replayed: bool

    @property
    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """The targets and their cells."""
        for line in self.lines:
            yield line["target"], row_cells(self.statistics, line)

    @property
    def data(self) -> dict[str, Any]:
        """The columns and lines for the page's script, and the constants of its statistics."""
        keys = {key for statistic in self.statistics for key in statistic.keys} | {"target"}
        return {
            "columns": [
                {
                    "keys": statistic.keys,
                    "format": statistic.format.__name__,
                    "title": statistic.title,
                    "lower": statistic.lower_is_better,
                }
                for statistic in self.statistics
            ],
            "lines": [{key: line[key] for key in sorted(keys)} for line in self.lines],
            "settings": [key for statistic in SETTINGS for key in statistic.keys if key in keys],
            "alpha": round(stats.ALPHA, 12),
            "quantile": stats.normal_quantile((1 + stats.CONFIDENCE) / 2),
            "replayed": self.replayed,
        }


def leaderboard(table: pl.DataFrame, ranked: pl.DataFrame) -> Board:
    """Return the leaderboard of the targets in `ranked`, lines of `stats.summarize` in order."""
    lines = _with_settings(table, ranked)
    letters = stats.letters(table, ranked["target"].to_list())
    lines = lines.with_columns(pl.col("target").replace_strict(letters).alias("group"))
    settings = [statistic for statistic in SETTINGS if statistic.needs in lines.columns]
    statistics = [
        *([GROUP] if len(lines) > 1 else []),
        *select(STATISTICS, lines, Place.LEADERBOARD),
        *select(settings, lines),
    ]
    scored = table.filter(pl.col("score").is_not_null())
    return Board(
        statistics, lines.to_dicts(), scored["problem_id"].n_unique(), bool(table["replayed"].any())
    )


def _with_settings(table: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return the lines with the settings of each target: all values that its rows have."""
    for statistic in SETTINGS:
        (key,) = statistic.keys
        if key in table.columns:
            values = table.group_by("target").agg(
                pl.col(key).drop_nulls().unique().sort().cast(pl.String).str.join(", ")
            )
            lines = lines.join(
                values.with_columns(pl.col(key).replace("", None)),
                on="target",
                how="left",
                maintain_order="left",
            )
    return lines
