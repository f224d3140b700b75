"""The history of dated results: dates in file names, and changes from date to date."""

import json
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from helpers.factories import alike, result
from rich.console import Console

from llmbench import stats
from llmbench.cli.history import main
from llmbench.cli.options.history import HistoryOptions
from llmbench.errors import ResultFileError
from llmbench.reports import history as history_report
from llmbench.reports.render import render
from llmbench.store import tables
from llmbench.store.dated_results import date_in_name, find_dated

FIRST = alike(x=[1, 1, 1], y=[1, 1, 1])
SECOND = alike(x=[0, 0, 0], y=[1, 1, 0])
THIRD = alike(x=[1, 1, 1], y=[1, 1, 0])


@pytest.mark.parametrize(
    ("name", "stamp"),
    [
        ("2026-01-31.parquet", "2026-01-31"),
        ("nightly-2026-01-31-model.csv", "2026-01-31"),
        ("20260131.csv", "2026-01-31"),
        ("20260131-235959-ab12.csv", "2026-01-31 23:59:59"),
        ("2026-01-31T05-06.csv", "2026-01-31 05:06:00"),
        ("2026-01-31/model.parquet", "2026-01-31"),
        ("2026-02-31.csv", None),
        ("model-12345678.csv", None),
        ("results.csv", None),
    ],
)
def test_the_date_comes_from_the_name_of_the_file_or_its_folder(
    name: str, stamp: str | None
) -> None:
    assert date_in_name(Path("here") / name) == stamp


def test_files_are_grouped_by_date_in_order(tmp_path: Path) -> None:
    (tmp_path / "2026-01-02").mkdir()
    names = ["2026-01-02/b.csv", "2026-01-02/a.parquet", "2026-01-01.csv", "x.csv", "2026-01-03.md"]
    names += ["2026-01-01.repair.csv", "2026-01-02/a.repair.parquet"]
    for name in names:
        (tmp_path / name).touch()
    assert {date: [p.name for p in paths] for date, paths in find_dated(tmp_path).items()} == {
        "2026-01-01": ["2026-01-01.csv"],
        "2026-01-02": ["a.parquet", "b.csv"],
    }


def test_a_folder_without_a_dated_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match="no result file with a date in its name"):
        find_dated(tmp_path)
    with pytest.raises(ResultFileError, match="no such folder"):
        find_dated(tmp_path / "none")


def history(*passes: dict[str, list[int]]) -> pl.DataFrame:
    return stats.history([(f"day {i}", result(each)) for i, each in enumerate(passes)])


def test_each_date_is_compared_with_the_one_before() -> None:
    lines = history(FIRST, SECOND, THIRD)
    assert lines["date"].to_list() == ["day 0", "day 1", "day 2"]
    assert lines["difference"].to_list() == [None, pytest.approx(-4 / 3 / 8), pytest.approx(1 / 8)]
    assert lines["broken"].to_list() == [None, 1, 0]
    assert lines["fixed"].to_list() == [None, 0, 1]
    for line, passes in zip(lines.to_dicts(), (FIRST, SECOND, THIRD), strict=True):
        assert line["pass_rate"] == stats.summarize(result(passes), ["target"])["pass_rate"][0]


def test_the_history_continues_where_all_problems_have_changed() -> None:
    named = [("a", result(FIRST)), ("b", result(FIRST, problem_sha256="other"))]
    assert stats.history(named)["difference"].to_list() == [None, None]


def test_each_target_has_its_own_history_even_if_it_misses_a_date() -> None:
    named = [
        ("a", pl.concat([result(FIRST, target="x"), result(FIRST, target="y")])),
        ("b", result(SECOND, target="x")),
        ("c", pl.concat([result(FIRST, target="x"), result(SECOND, target="y")])),
    ]
    lines = stats.history(named)
    assert lines.select("target", "date").rows() == [
        ("x", "a"), ("x", "b"), ("x", "c"), ("y", "a"), ("y", "c"),
    ]  # fmt: skip
    assert lines["broken"].to_list() == [None, 1, 0, None, 1]


def test_a_history_is_rendered_as_text_markdown_and_json() -> None:
    lines = history(FIRST, SECOND)
    console = Console(file=StringIO(), width=130, highlight=False, markup=False)
    for part in render(history_report.document(lines), "text"):
        console.print(part)
    assert isinstance(console.file, StringIO)
    for text in (console.file.getvalue(), as_string(lines, "markdown")):
        for words in ("lmstudio/m", "day 0", "day 1", "-16.7", "against the date before"):
            assert words in text
    assert json.loads(as_string(lines, "json")) == lines.to_dicts()
    assert "no model was asked" in as_string(lines.with_columns(replayed=True), "markdown")


def as_string(lines: pl.DataFrame, format: str) -> str:
    return "".join(map(str, render(history_report.document(lines), format)))


def test_a_history_has_a_column_of_costs_only_if_a_cost_is_known() -> None:
    lines = history(FIRST, SECOND)
    assert "cost" in as_string(lines, "markdown").splitlines()[2]
    unknown = lines.with_columns(cost_usd=pl.lit(None, pl.Float64))
    assert "cost" not in as_string(unknown, "markdown")


def test_a_sparkline_has_a_bar_per_rate() -> None:
    assert history_report.sparkline([0, 0.5, None, 1]) == "▁▅ █"


def test_the_same_attempt_in_two_files_of_a_date_is_refused(tmp_path: Path) -> None:
    for name in ("2026-01-01-a.csv", "2026-01-01-b.csv"):
        tables.write(result(FIRST), tmp_path / name)
    with pytest.raises(ResultFileError, match="several rows for target lmstudio/m"):
        main(HistoryOptions(folder=tmp_path, format="json"))


def test_the_command_shows_the_last_dates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day, passes in ((1, FIRST), (2, SECOND), (3, THIRD)):
        tables.write(result(passes), tmp_path / f"2026-01-0{day}.parquet")
    assert main(HistoryOptions(folder=tmp_path, last=2, format="json")) == 0
    lines = json.loads(capsys.readouterr().out)
    assert [line["date"] for line in lines] == ["2026-01-02", "2026-01-03"]
