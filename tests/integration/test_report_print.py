"""The printed page, as PDF pictures on A4 and Letter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pypdfium2
import pytest
from helpers.browser import Opened, draw_all
from helpers.factories import alike, result
from numpy.typing import NDArray

from llmbench.cli import main
from llmbench.store import tables

pytestmark = pytest.mark.browser

MARGIN = 30
"""Points of a margin that must be empty; those of the page are 12 mm, 34 points."""

GREEN = np.array([0x1D, 0x8A, 0x6B])
"""The colour of a cell whose attempts all pass."""

PAPERS = ("A4", "Letter")
TARGETS = [f"openrouter/some-lab/coder-{size}b-instruct-with-a-long-name" for size in range(6)]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("print")
    passes = {f"python-problem-{i:02}": [int(i % 5 > 0), 1, int(i % 3 > 0)] for i in range(66)}
    results = [result(alike(**passes), target=name, tags="async,日本語") for name in TARGETS]
    tables.write(pl.concat(results), folder / "r.parquet")
    assert main(["report", str(folder / "r.parquet"), "-o", str(folder / "r.html")]) == 0
    return folder / "r.html"


def printed(opened: Opened, page_file: Path, paper: str, **how: Any) -> pypdfium2.PdfDocument:
    page = opened(page_file, **how)
    draw_all(page)
    return pypdfium2.PdfDocument(page.pdf(format=paper, print_background=True))


def pictures(document: pypdfium2.PdfDocument) -> Iterator[NDArray[np.uint8]]:
    for sheet in document:
        yield sheet.render(scale=1).to_numpy()[:, :, 2::-1]


@pytest.mark.parametrize("paper", PAPERS)
def test_nothing_is_cut_off_and_no_sheet_is_blank(
    page_file: Path, opened: Opened, paper: str
) -> None:
    document = printed(opened, page_file, paper)
    for picture in pictures(document):
        ink = np.any(picture < 200, axis=2)
        assert isinstance(ink, np.ndarray)
        assert not ink[:, :MARGIN].any()
        assert not ink[:, -MARGIN:].any()
        assert ink.mean() > 0.001
    for sheet in document:
        text = sheet.get_textpage()
        for i in range(text.count_chars()):
            left, _, right, _ = text.get_charbox(i)
            assert right == left or MARGIN <= left <= right <= sheet.get_width() - MARGIN


@pytest.mark.parametrize("paper", PAPERS)
def test_plots_heat_map_and_attempts_are_printed(
    page_file: Path, opened: Opened, paper: str
) -> None:
    document = printed(opened, page_file, paper)
    texts = [sheet.get_textpage().get_text_range() for sheet in document]
    everything = "\n".join(texts)
    assert "Which problems tell targets apart" in everything
    assert sum("pass rate" in text for text in texts) > 1
    assert "seconds to the whole answer" in everything
    assert "python-problem-65" in everything
    assert "Show more" not in everything
    green = [(abs(picture.astype(int) - GREEN).max(axis=2) < 8).mean() for picture in
             pictures(document)]  # fmt: skip
    assert max(green) > 0.05


def test_a_dark_page_is_printed_on_white(page_file: Path, opened: Opened) -> None:
    document = printed(opened, page_file, "A4", color_scheme="dark")
    first = next(pictures(document))
    assert (first > 250).all(axis=2).mean() > 0.7


@pytest.mark.parametrize("width", [390, 740, 1000])
def test_the_list_of_attempts_is_readable(page_file: Path, opened: Opened, width: int) -> None:
    page = opened(page_file, viewport={"width": width, "height": 900})
    item = page.locator("#list button").first
    for name in ("problem", "target", "outcome"):
        box = item.locator(f".{name}").bounding_box()
        assert box is not None
        assert box["height"] < 50
        assert box["x"] + box["width"] <= width
    crushed = "(it) => [...it.children].some((one) => one.scrollWidth > one.clientWidth + 1)"
    assert not item.evaluate(crushed)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
