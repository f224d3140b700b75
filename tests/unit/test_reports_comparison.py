"""A comparison as text, Markdown and JSON; foreign names in it are escaped."""

import json
from io import StringIO

import polars as pl
import pytest
from helpers.factories import alike, result
from rich.console import Console

from llmbench import stats
from llmbench.reports import comparison
from llmbench.reports.fitting import FittingTable
from llmbench.reports.render import render
from llmbench.stats import Comparison

BEFORE = alike(x=[1] * 5, y=[1, 1, 1], z=[0] * 5)
AFTER = alike(x=[0] * 5, y=[1, 1, 0], z=[1] * 5, new=[1])


def compare(*passes: dict[str, list[int]]) -> Comparison:
    return stats.compare([(f"{i}.csv", result(each)) for i, each in enumerate(passes)])


def as_string(result: Comparison, format: str = "text") -> str:
    console = Console(file=StringIO(), width=120, highlight=False, markup=False)
    for part in render(comparison.document(result), format):
        console.print(part, soft_wrap=isinstance(part, str))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_a_pair_has_verdict_figures_flips_and_excluded_problems(format: str) -> None:
    result = compare(BEFORE, AFTER)
    (line,) = result.differences.to_dicts()
    text = as_string(result, format).replace("\\", "")
    assert "1.csv against 0.csv: 3.7 points worse" in text
    assert "chance alone may explain it" in text
    assert f"{100 * line['ci_low']:+.1f} to {100 * line['ci_high']:+.1f}" in text
    for words in ("broken", "100% → 0%", "fixed", "0% → 100%", "llm_seconds (s)"):
        assert words in text
    assert "100% → 67%" not in text
    moved = "moved between never, sometimes and always passing (1 newly flaky)"
    assert moved in " ".join(text.split())
    assert "left out of 1.csv against 0.csv:" in text
    assert "new not in 0.csv" in text
    assert "p (Holm)" not in text


def test_several_pairs_are_numbered_and_their_p_values_corrected() -> None:
    text = as_string(compare(BEFORE, AFTER, BEFORE))
    assert "1. 1.csv against 0.csv" in text
    assert "2. 2.csv against 0.csv: the same pass rate" in text
    assert "p (Holm)" in text


def test_a_significant_difference_is_not_called_chance() -> None:
    good, bad = ({f"p{i}": [passed] for i in range(12)} for passed in (1, 0))
    text = as_string(compare(good, bad))
    assert "100.0 points worse" in text
    assert "p (McNemar)" in text
    assert "chance alone may explain it" not in text
    assert "can show no difference" not in text


def test_a_note_warns_of_too_few_problems() -> None:
    assert (
        "3 problems can show no difference on problems like these: p is at least 0.25"
        in as_string(compare({"x": [1], "y": [1], "z": [1]}, {"x": [0], "y": [0], "z": [0]}))
    )


def test_json_contains_every_frame() -> None:
    result = compare(BEFORE, AFTER)
    data = json.loads(as_string(result, "json"))
    assert data["differences"] == result.differences.to_dicts()
    assert [flip["change"] for flip in data["flips"]] == ["broken", "newly flaky", "fixed"]
    assert data["excluded"][0]["problem_id"] == "new"
    assert data["unpaired"] == []
    assert data["replayed"] is False


def test_a_notice_marks_replayed_answers() -> None:
    named = [("a", result(BEFORE, replayed=True)), ("b", result(AFTER))]
    compared = stats.compare(named)
    assert "no model was asked" in as_string(compared)
    assert "no model was asked" in as_string(compared, "markdown")
    assert json.loads(as_string(compared, "json"))["replayed"] is True


def test_names_from_a_file_are_escaped_for_terminal_and_markdown() -> None:
    a = result({"p\x1b[2J|<b>": [1], "q": [1]}, target="evil\x1b]0;x\x07/[m](http://x)")
    b = result({"p\x1b[2J|<b>": [0], "q": [1]}, target="evil\x1b]0;x\x07/[m](http://x)")
    c = result({"q": [1]}, target="other\n/x")
    compared = stats.compare([("a", a), ("b", b), ("c", c)])
    assert "\x1b" not in as_string(compared)
    page = as_string(compared, "markdown")
    assert "\x1b" not in page
    assert "\\|\\<b\\>" in page
    assert "](http" not in page.replace("\\]", "")


@pytest.mark.parametrize("format", ["text", "markdown"])
def test_notes_name_unscored_attempts_and_incomparable_pairs(format: str) -> None:
    lost = {"score": None, "passed": None, "outcome": "provider_error"}
    bad = result({"p": [1, 1]}, target="y").with_columns(
        pl.lit(v).alias(k) for k, v in lost.items()
    )
    half = result({"q": [1]}, target="x").with_columns(pl.lit(v).alias(k) for k, v in lost.items())
    a = pl.concat([result(BEFORE, target="x"), result({"p": [1, 1]}, target="y")])
    b = pl.concat([result(BEFORE, target="x"), half, bad])
    text = as_string(stats.compare([("a", a), ("b", b)]), format).replace("\\", "")
    assert "1 attempt of b x was not scored: in no rate" in text
    assert "left out: a y and b y have no scored problem in common" in text


def test_the_tables_of_several_pairs_fit_into_80_columns() -> None:
    parts = list(render(comparison.document(compare(BEFORE, AFTER, BEFORE, AFTER)), "text"))
    views = [part for part in parts if isinstance(part, FittingTable)]
    assert len(views) == 3
    assert all(view.fits(80) for view in views)


def test_a_regression_of_few_problems_is_not_called_chance() -> None:
    good, bad = ({f"p{i}": [passed] * 3 for i in range(5)} for passed in (1, 0))
    compared = compare(good, bad)
    text = as_string(compared)
    assert "these same problems pass less often than before (p <0.001)" in " ".join(text.split())
    assert "chance alone" not in text
    (line,) = compared.differences.to_dicts()
    assert comparison.regression(line) == (
        "1.csv against 0.csv: 100.0 points worse on the same 5 problems (100.0% → 0.0%, p <0.001)"
    )


def test_the_message_of_a_fall_by_more_than_the_points_does_not_speak_of_chance() -> None:
    compared = compare(alike(x=[1, 1, 1]), alike(x=[1, 1, 0]))
    (line,) = compared.regressions(1).to_dicts()
    assert "chance" in comparison.verdict(line)
    assert "chance" not in comparison.regression(line)
