"""The verdict on a night, as a document whose first line says how it went."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from llmbench import stats
from llmbench.reports import format as fmt
from llmbench.reports.render import Document, Grid, Line, Paragraph
from llmbench.reports.sanitize import single_line
from llmbench.stats import State

NOTE = (
    "points: against the accepted night, on the problems that have not changed; p (month): how "
    "likely chance alone gives such a fall about any target in any night of a month; since: the "
    "first of the latest nights that are further down"
)


def verdict(name: str, date: str, lines: pl.DataFrame, missing: Sequence[str]) -> str:
    """Return one sentence about a night: of the worst that happened in it.

    `name` is that of the problem set, `missing` are targets without a result.
    """
    where = f"({single_line(name)}, {date})"
    worse = lines.filter(state=State.REGRESSION).to_dicts()
    if worse:
        return f"Regression: {'; '.join(map(regression, worse))} {where}"
    if missing:
        return f"Incomplete: no result of {_names(missing)} {where}"
    for state, words in (
        (
            State.CHANGED,
            "Not comparable: all problems have changed, so this night is accepted, for",
        ),
        (State.FIRST, "First night: accepted, since there is none before it, for"),
    ):
        targets = lines.filter(state=state)["target"].to_list()
        if targets:
            return f"{words} {_names(targets)} {where}"
    if lines.is_empty():
        return f"Incomplete: no attempt has a score {where}"
    return f"No regression: {_names(lines['target'].to_list())} {where}"


def regression(line: Mapping[str, Any]) -> str:
    """Return a line of `stats.judge` that is a regression in words."""
    fall = f"{abs(100 * line['difference']):.1f} points {_direction(line)} {line['accepted']}"
    return f"{single_line(line['target'])} is {fall}{_since(line)}"


def heading(target: str, accepted: str) -> Document:
    """Return the heading of the comparison of a target with its accepted night."""
    text = f"{single_line(target)} against {accepted}, its accepted night"
    return Document([Paragraph([Line(text)])], text)


def document(title: str, lines: pl.DataFrame) -> Document:
    """Return the verdict of each target; `title` is the sentence of `verdict`."""
    return Document([*_blocks(title, lines)], {"verdict": title, "targets": lines.to_dicts()})


def _blocks(title: str, lines: pl.DataFrame) -> Iterator[Paragraph | Grid]:
    yield Paragraph([Line(title)])
    if lines.is_empty():
        return
    head = ["target", "verdict", "accepted night", "problems", "pass_rate", "points"]
    yield Grid(
        [*head, "p (month)", "since"],
        [
            [
                single_line(line["target"]),
                line["state"],
                line["accepted"] or "-",
                fmt.count(line["problems"]),
                f"{fmt.percent(line['pass_rate_accepted'])} → {fmt.percent(line['pass_rate'])}",
                fmt.points(line["difference"]),
                fmt.p_value(line["p_month"]),
                line["since"] or "-",
            ]
            for line in lines.iter_rows(named=True)
        ],
        text_columns=3,
        title="verdicts",
        droppable=["problems", "accepted night", "since", "pass_rate", "p (month)"],
    )
    yield Paragraph([Line(NOTE)], bullets=True)


def _direction(line: Mapping[str, Any]) -> str:
    return "below" if line["difference"] < 0 else "above"


def _since(line: Mapping[str, Any]) -> str:
    if line["p_month"] > stats.ALPHA:
        return ", which is more than was allowed"
    return f" and has been worse since {line['since']}"


def _names(targets: Sequence[str]) -> str:
    names = ", ".join(map(single_line, targets[:3]))
    return f"{names} and {len(targets) - 3} more" if len(targets) > 3 else names
