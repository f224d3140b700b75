"""Statistics as columns: one declaration for summary, leaderboard and history."""

from io import StringIO

import pytest
from helpers.factories import result
from rich.console import Console

from llmbench import stats
from llmbench.records import Outcome
from llmbench.reports import columns, history, summary
from llmbench.reports.columns import STATISTICS, Place, Statistic, row_cells, select, titles
from llmbench.reports.format import count
from llmbench.reports.html import board, glossary, score_charts
from llmbench.reports.render import Grid

TABLE = result({"x": [1, 0], "y": [1, 1]})
PROBLEMS = Statistic("solved problems", ("problems",), count)


def test_a_new_statistic_is_in_summary_leaderboard_and_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (summary, history, board):
        monkeypatch.setattr(module, "STATISTICS", (*STATISTICS, PROBLEMS))
    console = Console(file=StringIO(), width=160)
    for part in summary.summary(TABLE, 160):
        console.print(part)
    assert isinstance(console.file, StringIO)
    assert PROBLEMS.title in console.file.getvalue()
    assert PROBLEMS in board.leaderboard(TABLE, score_charts.ranked(TABLE)).statistics
    dates = stats.history([("2026-01-30", TABLE), ("2026-01-31", TABLE)])
    (grid,) = (block for block in history.document(dates).blocks if isinstance(block, Grid))
    assert grid.head[-1] == PROBLEMS.title
    assert [row[-1] for row in grid.rows] == ["2", "2"]
    assert PROBLEMS.title in score_charts.history(dates, ["lmstudio/m"]).head


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Place.SUMMARY, "pass_rate,95% interval,agreement,std_score,scored,TTFT,tokens/s,cost"),
        (
            Place.LEADERBOARD,
            "pass_rate,95% interval,agreement,std_score,flaky,scored,TTFT,tokens/s,cost,"
            "cost per solved",
        ),
        (
            Place.HISTORY,
            "pass_rate,95% interval,points,p,broken,fixed,agreement,flaky,scored,TTFT,tokens/s,"
            "cost",
        ),
    ],
)
def test_each_table_has_its_columns_in_the_declared_order(place: Place, expected: str) -> None:
    lines = stats.summarize(TABLE, ["target"])
    assert titles(select(STATISTICS, lines, place)) == expected.split(",")


def test_columns_of_cost_need_a_known_cost() -> None:
    lines = stats.summarize(result({"x": [1]}, cost_usd=None), ["target"])
    assert "cost" not in titles(select(STATISTICS, lines, Place.LEADERBOARD))
    assert "cost per solved" not in titles(select(STATISTICS, lines, Place.LEADERBOARD))


def test_a_missing_value_is_a_dash() -> None:
    line = {"cost_usd": None, "ci_low": None, "ci_high": None}
    assert row_cells((columns.COST, columns.INTERVAL), line) == ["-", "-"]


def test_every_statistic_has_a_meaning_and_every_outcome_too() -> None:
    assert all(glossary.meanings().values())
    assert set(glossary.OUTCOMES) == set(Outcome)
