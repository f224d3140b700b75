"""The leaderboard in a browser: filter, order, links, and the same figures as Python."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.browser import DESK, Opened
from helpers.factories import row
from playwright.sync_api import Page, expect

from llmbench.cli import main
from llmbench.reports.html import board, score_charts
from llmbench.store import tables

pytestmark = pytest.mark.browser

TARGETS = ("cloud/large", "cloud/small", "lmstudio/日本語モデル", "ollama/tiny")
LANGS, LEVELS = ("go", "python"), ("easy", "hard")
RUNS = 3
UNSCORED: dict[str, Any] = dict.fromkeys(
    ("score", "passed", "ttft_seconds", "tokens_per_second", "llm_seconds", "cost_usd")
)


def results() -> pl.DataFrame:
    """Four targets at 24 problems of two languages, with errors, ties and unknown costs."""
    rows = []
    for place, target in enumerate(TARGETS):
        for number in range(24):
            for run in range(1, RUNS + 1):
                passed = (number * 7 + run * (place + 1)) % 11 >= 3 * place - number % 2
                changes: dict[str, Any] = {
                    "score": 100.0 * passed,
                    "passed": passed,
                    "outcome": "passed" if passed else "failed",
                    "ttft_seconds": 0.1 * run + place + number / 64,
                    "tokens_per_second": 100.0 / (place + 1) + number,
                    "cost_usd": 0.001 * (number + 1) if place < 2 else None,
                    "quantization": ("Q4_K_M", "Q8_0")[run % 2] if place == 2 else None,
                    "context_length": 8192 if place > 1 else None,
                }
                if target == TARGETS[1] and number % 9 == run:
                    changes |= UNSCORED | {"outcome": "provider_error"}
                provider, model = target.split("/", 1)
                rows.append(
                    row(
                        target=target,
                        provider=provider,
                        model=model,
                        problem_id=f"問題-{number}",
                        problem_sha256=f"hash of {number}",
                        lang=LANGS[number % 2],
                        difficulty=LEVELS[number % 3 == 0],
                        tags="sums" if number % 5 else "sums,async",
                        run=run,
                        **changes,
                    )
                )
    return tables.to_frame(rows)


def write(folder: Path, table: pl.DataFrame) -> Path:
    tables.write(table, folder / "r.parquet")
    assert main(["report", str(folder / "r.parquet"), "-o", str(folder / "r.html")]) == 0
    return folder / "r.html"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("board"), results())


def visible_cells(page: Page) -> list[list[str]]:
    """The cells of the leaderboard, as they are visible."""
    return [
        [cell.strip() for cell in line.locator("th, td").all_text_contents()]
        for line in page.locator("#board tbody tr").all()
    ]


def expected(table: pl.DataFrame) -> list[list[str]]:
    ranked = score_charts.ranked(table)
    return [[target, *cells] for target, cells in board.leaderboard(table, ranked).rows]


FILTERS: list[tuple[dict[str, str], pl.Expr]] = [
    ({"lang": "python"}, pl.col("lang") == "python"),
    ({"difficulty": "hard"}, pl.col("difficulty") == "hard"),
    ({"tag": "async"}, pl.col("tags").str.contains("async")),
    ({"tag": "sums"}, pl.lit(value=True)),
    ({"lang": "go", "difficulty": "hard", "tag": "async"},
     (pl.col("lang") == "go") & (pl.col("difficulty") == "hard")
     & pl.col("tags").str.contains("async")),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "rows"), FILTERS)
def test_a_filter_shows_the_figures_that_python_computes(
    page_file: Path, opened: Opened, fields: dict[str, str], rows: pl.Expr
) -> None:
    page = opened(page_file)
    for name, value in fields.items():
        page.locator(f"#choice [name={name}]").select_option(value)
    assert visible_cells(page) == expected(results().filter(rows))
    assert len(visible_cells(page)) == len(TARGETS)


def test_the_whole_board_is_that_of_python_and_clearing_restores_it(
    page_file: Path, opened: Opened
) -> None:
    page = opened(page_file)
    assert visible_cells(page) == expected(results())
    page.locator("#choice [name=lang]").select_option("go")
    page.locator("#choice").get_by_role("button", name="Clear").click()
    expect(page.locator("#chosen")).to_be_hidden()
    assert visible_cells(page) == expected(results())


def test_a_link_keeps_filter_and_order(page_file: Path, opened: Opened) -> None:
    page = opened(page_file)
    page.locator("#choice [name=lang]").select_option("python")
    page.locator("#choice [name=target]").fill("CLOUD, 日本")
    page.locator("#board thead").get_by_role("button", name="TTFT").click()
    before = visible_cells(page)
    assert [line[0] for line in before] == list(TARGETS[:3])
    expect(page.locator("#chosen")).to_have_text("12 of 24 problems, 3 of 4 targets")
    page.locator("#filter [name=outcome]").select_option("failed")
    count = page.locator("#count").text_content()
    again = opened(page_file, "?" + page.url.split("?", 1)[1])
    assert visible_cells(again) == before
    expect(again.locator("[aria-sort=ascending]")).to_have_text("TTFT")
    expect(again.locator("#count")).to_have_text(count or "")
    again.locator("nav a").last.click()
    assert "lang=python" in again.url


def test_a_link_to_what_the_page_lacks_shows_everything(page_file: Path, opened: Opened) -> None:
    page = opened(page_file, "?lang=cobol&sort=-nothing")
    assert visible_cells(page) == expected(results())


def test_a_heading_sorts_by_its_better_end_then_the_other_then_not_at_all(
    page_file: Path, opened: Opened
) -> None:
    page = opened(page_file)
    ranked = [line[0] for line in visible_cells(page)]
    heading = page.locator("#board thead").get_by_role("button", name="cost per solved")
    heading.click()
    column = page.locator("#board thead th").all_text_contents().index("cost per solved")
    costs = [line[column] for line in visible_cells(page)]
    assert costs == [*sorted(costs[:2]), "-", "-"]
    heading.click()
    assert [line[column] for line in visible_cells(page)] == [
        *sorted(costs[:2], reverse=True),
        "-",
        "-",
    ]
    heading.click()
    assert [line[0] for line in visible_cells(page)] == ranked


def test_quantization_and_context_are_shown_where_they_are_known(
    page_file: Path, opened: Opened
) -> None:
    page = opened(page_file)
    assert page.locator("#board thead th").all_text_contents()[-2:] == ["quantization", "context"]
    settings = {line[0]: line[-2:] for line in visible_cells(page)}
    assert settings == {
        TARGETS[0]: ["-", "-"],
        TARGETS[1]: ["-", "-"],
        TARGETS[2]: ["Q4_K_M, Q8_0", "8192"],
        TARGETS[3]: ["-", "8192"],
    }
    page.locator("#choice [name=lang]").select_option("python")
    assert {line[0]: line[-2:] for line in visible_cells(page)} == settings


def test_a_target_leads_to_its_attempts_with_the_filter(page_file: Path, opened: Opened) -> None:
    page = opened(page_file)
    page.locator("#choice [name=tag]").select_option("async")
    page.locator("#board tbody button").first.click()
    expect(page.locator("#count")).to_have_text(f"{5 * RUNS} of {len(results())} attempts")
    assert set(page.locator("#list .target").all_text_contents()) == {visible_cells(page)[0][0]}


def test_the_first_screen_says_which_target_to_use(page_file: Path, opened: Opened) -> None:
    page = opened(page_file, viewport=DESK)
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text(f"{visible_cells(page)[0][0]} passes most")
    box = page.locator("#board tbody tr").last.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= DESK["height"]
    page.locator("#choice [name=tag]").select_option("async")
    expect(verdict).to_contain_text("cannot be told apart from it. 5 problems are too few")


def test_the_plots_follow_the_filter(page_file: Path, opened: Opened) -> None:
    page = opened(page_file)
    points = page.locator("#speed svg .mark-symbol path[aria-roledescription=point]")
    expect(points).to_have_count(len(TARGETS))
    page.locator("#choice [name=target]").fill("cloud")
    expect(points).to_have_count(2)
    legend = page.locator("#speed svg .role-legend-label text")
    assert legend.all_text_contents() == list(TARGETS[:2])
    page.locator("#choice [name=target]").fill("none of them")
    expect(page.locator("#speed svg")).to_be_hidden()
    page.locator("#choice [name=target]").fill("")
    expect(points).to_have_count(len(TARGETS))


def test_replayed_answers_rank_nothing(tmp_path: Path, opened: Opened) -> None:
    page = opened(write(tmp_path, results().with_columns(replayed=pl.lit(value=True))))
    expect(page.locator("#verdict")).to_be_hidden()


def test_every_heading_of_a_table_is_explained(page_file: Path, opened: Opened) -> None:
    page = opened(page_file)
    headings = set(page.locator("th[scope=col]").all_text_contents()) - set(TARGETS)
    terms = set(page.locator("#terms dt").all_text_contents())
    unexplained = {name for name in headings if "percentile" not in name} - terms
    assert unexplained == set()
