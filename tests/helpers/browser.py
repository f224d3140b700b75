"""Fixtures that open pages in a real browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Route

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = bool(os.environ.get("LLMBENCH_REQUIRE_BROWSER"))
Opened = Callable[..., "Page"]
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1360, "height": 900}
PATIENCE = 120_000
"""Milliseconds that a busy machine may take."""


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """Start the Chromium on the path; without one, skip the tests unless it is required."""
    from playwright.sync_api import Error, expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        (pytest.fail if REQUIRED else pytest.skip)("there is no Chromium on the path")
    with sync_playwright() as play:
        try:
            browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            (pytest.fail if REQUIRED else pytest.skip)(f"{path} does not start: {error}")
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: "Browser") -> "Iterator[Opened]":
    """Open pages; at the end, check that none made a request or failed."""
    contexts, wrong = [], []

    def refuse(route: "Route") -> None:
        if route.request.url.startswith(("http", "ws")):
            wrong.append(f"requested {route.request.url}")
            route.abort()
        else:
            route.continue_()

    def answer(dialog: "Dialog") -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def open_(path: Path, mark: str = "", **how: object) -> "Page":
        context = chromium.new_context(**{"viewport": DESK, **how})  # type: ignore[arg-type]  # any
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        context.route("**/*", refuse)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", answer)
        page.goto(path.as_uri() + mark)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


def draw_all(page: "Page") -> int:
    """Scroll to every plot until it is drawn; returns their number."""
    from playwright.sync_api import expect

    plots = page.locator("[data-figure]")
    for plot in plots.all():
        plot.scroll_into_view_if_needed()
        expect(plot.locator("svg")).to_be_visible()
    return plots.count()
