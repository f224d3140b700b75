"""Statistics as columns of tables: title, value, format and place of each, declared once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

import polars as pl

from llmbench import stats
from llmbench.reports import format as fmt

INTERVAL_TITLE = f"{stats.CONFIDENCE:.0%} interval"
REPLAY_NOTICE = (
    "Recorded answers were replayed: no model was asked, and these figures rank nothing."
)
"""Heads every output with figures of recorded answers."""


class Place(Flag):
    """A table that shows statistics of targets."""

    SUMMARY = auto()
    """The table that ends a run in the terminal."""
    LEADERBOARD = auto()
    """The table of the page."""
    HISTORY = auto()
    """The trend over dates, in the terminal, in Markdown and in the page."""


EVERYWHERE = Place.SUMMARY | Place.LEADERBOARD | Place.HISTORY


@dataclass(frozen=True, slots=True)
class Statistic:
    """One column of figures.

    Attributes:
        title: the heading.
        keys: the columns of `llmbench.stats` whose values are shown together.
        format: makes the text of a cell from these values.
        places: the tables that have the column.
        needs: a key without which the column is omitted: no line has a value of it.
    """

    title: str
    keys: tuple[str, ...]
    format: Callable[..., str]
    places: Place = EVERYWHERE
    needs: str | None = None

    def cell(self, line: Mapping[str, Any]) -> str:
        """Return the text for one line of statistics."""
        return self.format(*(line[key] for key in self.keys))


PASS_RATE = Statistic("pass_rate", ("pass_rate",), fmt.percent)
INTERVAL = Statistic(INTERVAL_TITLE, ("ci_low", "ci_high"), fmt.interval)
COST = Statistic("cost", ("cost_usd",), fmt.dollars, needs="cost_usd")
COST_PER_SOLVED = Statistic(
    "cost per solved",
    ("cost_per_solved_usd",),
    fmt.dollars,
    Place.LEADERBOARD,
    needs="cost_usd",
)

STATISTICS = (
    PASS_RATE,
    INTERVAL,
    Statistic("points", ("difference",), fmt.points, Place.HISTORY),
    Statistic("p", ("p_value",), fmt.two_digits, Place.HISTORY),
    Statistic("broken", ("broken",), fmt.count, Place.HISTORY),
    Statistic("fixed", ("fixed",), fmt.count, Place.HISTORY),
    Statistic("agreement", ("agreement",), fmt.percent, needs="agreement"),
    Statistic("std_score", ("std_score",), fmt.decimal, Place.SUMMARY | Place.LEADERBOARD),
    Statistic("flaky", ("flaky",), fmt.whole_percent, Place.LEADERBOARD | Place.HISTORY),
    Statistic("scored", ("scored", "attempts"), fmt.ratio),
    Statistic("TTFT", ("ttft_seconds",), fmt.seconds),
    Statistic("TTFT uncached", ("ttft_uncached_seconds",), fmt.seconds, needs="mostly_cached"),
    Statistic("tokens/s", ("tokens_per_second",), fmt.count),
    Statistic(
        "prompt tokens/s",
        ("prompt_tokens_per_second",),
        fmt.count,
        Place.LEADERBOARD,
        needs="prompt_tokens_per_second",
    ),
    Statistic(
        "decode tokens/s",
        ("decode_tokens_per_second",),
        fmt.count,
        Place.LEADERBOARD,
        needs="decode_tokens_per_second",
    ),
    COST,
    COST_PER_SOLVED,
)
"""The statistics of a target, in the order of their columns."""

STABILITY_STATISTICS = (
    Statistic("agreement", ("agreement",), fmt.percent),
    Statistic(INTERVAL_TITLE, ("agreement_ci_low", "agreement_ci_high"), fmt.interval),
    Statistic("k", ("k",), fmt.count),
    Statistic("pass@k", ("pass_at_k",), fmt.percent),
    Statistic("pass^k", ("pass_hat_k",), fmt.percent),
    Statistic("between problems", ("between",), fmt.whole_percent),
)
"""The statistics of a target's repeated runs, in the order of their columns."""

STABILITY_NOTE = (
    "agreement: two runs of the same problem end alike; pass@k: at least one of k answers passes; "
    "pass^k: all k do; between problems: the share of the variance that lies between problems, not "
    "between runs of the same one"
)
"""Explains the columns of stability."""

ITEM_STATISTICS = (
    Statistic("pass_rate", ("pass_rate",), fmt.percent),
    Statistic("solved", ("solved",), str),
    Statistic("discrimination", ("discrimination",), fmt.correlation),
)
"""The statistics of a problem over all targets, in the order of their columns."""

REPAIR_STATISTICS = (
    Statistic("round", ("round",), fmt.count),
    Statistic("asked", ("attempts",), fmt.count),
    Statistic("passed", ("passed",), fmt.count),
    Statistic("pass_rate by then", ("pass_rate",), fmt.percent),
    INTERVAL,
    Statistic("tokens", ("tokens",), fmt.count),
    COST,
)
"""The statistics of a round of repairs, in the order of their columns."""


def select(
    statistics: Sequence[Statistic], lines: pl.DataFrame, place: Place = EVERYWHERE
) -> list[Statistic]:
    """Return the statistics that a table of these lines shows at this place."""
    return [
        statistic
        for statistic in statistics
        if statistic.places & place
        and (statistic.needs is None or lines[statistic.needs].is_not_null().any())
    ]


def titles(statistics: Sequence[Statistic]) -> list[str]:
    """Return the headings of the columns."""
    return [statistic.title for statistic in statistics]


def row_cells(statistics: Sequence[Statistic], line: Mapping[str, Any]) -> list[str]:
    """Return one line of statistics as the cells of a row."""
    return [statistic.cell(line) for statistic in statistics]
