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
        meaning: one sentence that explains the figure to a reader.
        lower_is_better: True if the best targets have the smallest figures.
    """

    title: str
    keys: tuple[str, ...]
    format: Callable[..., str]
    places: Place = EVERYWHERE
    needs: str | None = None
    meaning: str = ""
    lower_is_better: bool = False

    def cell(self, line: Mapping[str, Any]) -> str:
        """Return the text for one line of statistics."""
        return self.format(*(line[key] for key in self.keys))


PASS_RATE = Statistic(
    "pass_rate",
    ("pass_rate",),
    fmt.percent,
    meaning="share of the scored attempts that passed all tests",
)
INTERVAL = Statistic(
    INTERVAL_TITLE,
    ("ci_low", "ci_high"),
    fmt.interval,
    meaning=f"with {stats.CONFIDENCE:.0%} confidence the value on problems like these lies in it; "
    "attempts at the same problem count as alike (clustered by problem)",
)
COST = Statistic(
    "cost",
    ("cost_usd",),
    fmt.dollars,
    needs="cost_usd",
    meaning="known cost of all requests, in US dollars",
    lower_is_better=True,
)
COST_PER_SOLVED = Statistic(
    "cost per solved",
    ("cost_per_solved_usd",),
    fmt.dollars,
    Place.LEADERBOARD,
    needs="cost_usd",
    meaning="average cost of an answer that passes, which includes the cost of failed answers",
    lower_is_better=True,
)
AGREEMENT = Statistic(
    "agreement",
    ("agreement",),
    fmt.percent,
    needs="agreement",
    meaning="probability that two runs of the same problem end alike",
)

STATISTICS = (
    PASS_RATE,
    INTERVAL,
    Statistic(
        "points",
        ("difference",),
        fmt.points,
        Place.HISTORY,
        meaning="difference of the pass rate from the date before, in percentage points",
    ),
    Statistic(
        "p",
        ("p_value",),
        fmt.two_digits,
        Place.HISTORY,
        meaning="probability of such a difference by chance alone",
    ),
    Statistic(
        "broken",
        ("broken",),
        fmt.count,
        Place.HISTORY,
        meaning="problems that never pass now, where chance does not explain it",
    ),
    Statistic(
        "fixed",
        ("fixed",),
        fmt.count,
        Place.HISTORY,
        meaning="problems that always pass now, where chance does not explain it",
    ),
    AGREEMENT,
    Statistic(
        "std_score",
        ("std_score",),
        fmt.decimal,
        Place.SUMMARY | Place.LEADERBOARD,
        meaning="standard deviation of the scores, where an attempt scores 100 or 0: "
        "0 if all end alike, 50 if half of them pass; it follows from the pass rate",
        lower_is_better=True,
    ),
    Statistic(
        "flaky",
        ("flaky",),
        fmt.whole_percent,
        Place.LEADERBOARD | Place.HISTORY,
        meaning="share of the problems with several scored runs that passed in some runs and "
        "failed in others; it grows with the number of runs",
        lower_is_better=True,
    ),
    Statistic(
        "scored",
        ("scored", "attempts"),
        fmt.ratio,
        meaning="attempts with a score, of all attempts; errors of the server or the sandbox have "
        "none",
    ),
    Statistic(
        "TTFT",
        ("ttft_seconds",),
        fmt.seconds,
        meaning="time to first token, the median over attempts",
        lower_is_better=True,
    ),
    Statistic(
        "TTFT uncached",
        ("ttft_uncached_seconds",),
        fmt.seconds,
        needs="mostly_cached",
        meaning="time to first token of the answers whose prompt was not mostly cached",
        lower_is_better=True,
    ),
    Statistic(
        "tokens/s",
        ("tokens_per_second",),
        fmt.count,
        meaning="decode speed that the client saw: tokens per second after the first chunk, the "
        "median over attempts",
    ),
    Statistic(
        "prompt tokens/s",
        ("prompt_tokens_per_second",),
        fmt.count,
        Place.LEADERBOARD,
        needs="prompt_tokens_per_second",
        meaning="speed of reading the prompt by the server's own clock, the median over attempts",
    ),
    Statistic(
        "decode tokens/s",
        ("decode_tokens_per_second",),
        fmt.count,
        Place.LEADERBOARD,
        needs="decode_tokens_per_second",
        meaning="decode speed by the server's own clock, the median over attempts",
    ),
    COST,
    COST_PER_SOLVED,
)
"""The statistics of a target, in the order of their columns."""

DROPPED_FIRST = (
    "std_score",
    "flaky",
    "broken",
    "fixed",
    "scored",
    "TTFT uncached",
    "TTFT",
    "agreement",
    "p",
    "points",
    "cost",
    "tokens/s",
    INTERVAL_TITLE,
)
"""The columns that a narrow terminal does without, the first one first."""

STABILITY_STATISTICS = (
    AGREEMENT,
    Statistic(
        INTERVAL_TITLE,
        ("agreement_ci_low", "agreement_ci_high"),
        fmt.interval,
        meaning=INTERVAL.meaning,
    ),
    Statistic("k", ("k",), fmt.count, meaning="number of answers to the same problem"),
    Statistic(
        "pass@k",
        ("pass_at_k",),
        fmt.percent,
        meaning="at least one of k answers to a problem passes",
    ),
    Statistic("pass^k", ("pass_hat_k",), fmt.percent, meaning="all of k answers to a problem pass"),
    Statistic(
        "between problems",
        ("between",),
        fmt.whole_percent,
        meaning="share of the variance that lies between problems, not between runs of the same "
        "one",
    ),
)
"""The statistics of a target's repeated runs, in the order of their columns."""

STABILITY_NOTE = (
    "agreement: two runs of the same problem end alike; pass@k: at least one of k answers passes; "
    "pass^k: all k do; between problems: the share of the variance that lies between problems, not "
    "between runs of the same one"
)
"""Explains the columns of stability."""

ITEM_STATISTICS = (
    PASS_RATE,
    Statistic(
        "solved", ("solved",), str, meaning="whether the problem passed never, sometimes or always"
    ),
    Statistic(
        "discrimination",
        ("discrimination",),
        fmt.correlation,
        meaning="correlation over targets between the pass rate on this problem and on all others",
    ),
)
"""The statistics of a problem over all targets, in the order of their columns."""

REPAIR_STATISTICS = (
    Statistic(
        "round", ("round",), fmt.count, meaning="1 for the first answer, 2 for its first repair"
    ),
    Statistic("asked", ("attempts",), fmt.count, meaning="answers requested in this round"),
    Statistic("passed", ("passed",), fmt.count, meaning="answers of this round that passed"),
    Statistic(
        "pass_rate by then",
        ("pass_rate",),
        fmt.percent,
        meaning="share of the first answers that passed, themselves or repaired",
    ),
    INTERVAL,
    Statistic("tokens", ("tokens",), fmt.count, meaning="prompt and answer tokens of this round"),
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
