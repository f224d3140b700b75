"""The trend over nights: which files are nights, and what has changed from one to the next."""

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
from llmbench.reports import history as trend
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
def test_the_date_is_in_the_name_of_the_file_or_its_folder(name: str, stamp: str | None) -> None:
    assert date_in_name(Path("here") / name) == stamp


def test_nights_are_in_order_and_may_have_several_files(tmp_path: Path) -> None:
    (tmp_path / "2026-01-02").mkdir()
    names = ["2026-01-02/b.csv", "2026-01-02/a.parquet", "2026-01-01.csv", "x.csv", "2026-01-03.md"]
    names += ["2026-01-01.repair.csv", "2026-01-02/a.repair.parquet"]
    for name in names:
        (tmp_path / name).touch()
    assert {night: [p.name for p in paths] for night, paths in find_dated(tmp_path).items()} == {
        "2026-01-01": ["2026-01-01.csv"],
        "2026-01-02": ["a.parquet", "b.csv"],
    }


def test_a_folder_without_a_night_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ResultFileError, match="no result file with a date in its name"):
        find_dated(tmp_path)
    with pytest.raises(ResultFileError, match="no such folder"):
        find_dated(tmp_path / "none")


def trend_of(*passes: dict[str, list[int]]) -> pl.DataFrame:
    return stats.history([(f"night {i}", result(each)) for i, each in enumerate(passes)])


def test_each_night_is_compared_with_the_one_before() -> None:
    lines = trend_of(FIRST, SECOND, THIRD)
    assert lines["night"].to_list() == ["night 0", "night 1", "night 2"]
    assert lines["difference"].to_list() == [None, pytest.approx(-4 / 3 / 8), pytest.approx(1 / 8)]
    assert lines["broken"].to_list() == [None, 1, 0]
    assert lines["fixed"].to_list() == [None, 0, 1]
    for line, passes in zip(lines.to_dicts(), (FIRST, SECOND, THIRD), strict=True):
        assert line["pass_rate"] == stats.summarize(result(passes), ["target"])["pass_rate"][0]


def test_problems_that_have_all_changed_break_the_comparison_and_not_the_trend() -> None:
    named = [("a", result(FIRST)), ("b", result(FIRST, problem_sha256="other"))]
    assert stats.history(named)["difference"].to_list() == [None, None]


def test_each_target_has_its_own_trend_also_where_it_missed_a_night() -> None:
    named = [
        ("a", pl.concat([result(FIRST, target="x"), result(FIRST, target="y")])),
        ("b", result(SECOND, target="x")),
        ("c", pl.concat([result(FIRST, target="x"), result(SECOND, target="y")])),
    ]
    lines = stats.history(named)
    assert lines.select("target", "night").rows() == [
        ("x", "a"), ("x", "b"), ("x", "c"), ("y", "a"), ("y", "c"),
    ]  # fmt: skip
    assert lines["broken"].to_list() == [None, 1, 0, None, 1]


def test_a_trend_is_shown_as_text_markdown_and_json() -> None:
    lines = trend_of(FIRST, SECOND)
    console = Console(file=StringIO(), width=130, highlight=False, markup=False)
    for part in trend.text(lines):
        console.print(part)
    assert isinstance(console.file, StringIO)
    for text in (console.file.getvalue(), trend.markdown(lines)):
        for words in ("lmstudio/m", "night 0", "night 1", "-16.7", "against the night before"):
            assert words in text
    assert json.loads(trend.as_json(lines)) == lines.to_dicts()
    assert "no model was asked" in trend.markdown(lines.with_columns(replayed=True))


def test_rates_are_bars() -> None:
    assert trend.sparkline([0, 0.5, None, 1]) == "▁▅ █"


def test_the_same_attempt_in_two_files_of_a_night_is_refused(tmp_path: Path) -> None:
    for name in ("2026-01-01-a.csv", "2026-01-01-b.csv"):
        tables.write(result(FIRST), tmp_path / name)
    with pytest.raises(ResultFileError, match="several rows for target lmstudio/m"):
        main(HistoryOptions(folder=tmp_path, format="json"))


def test_the_command_shows_the_last_nights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for day, passes in ((1, FIRST), (2, SECOND), (3, THIRD)):
        tables.write(result(passes), tmp_path / f"2026-01-0{day}.parquet")
    assert main(HistoryOptions(folder=tmp_path, last=2, format="json")) == 0
    lines = json.loads(capsys.readouterr().out)
    assert [line["night"] for line in lines] == ["2026-01-02", "2026-01-03"]
