"""The page in a real browser: mouse and keyboard, contrast, and no request to a server."""

import re
import socket
from pathlib import Path

import polars as pl
import pytest
from helpers.browser import DESK, PHONE, Opened, draw_all
from helpers.factories import alike, result
from helpers.hostile_run import ANSWER, CODE, ENDS, IDS, LOG, MARKUP, MODELS, RUNS, write_run
from playwright.sync_api import Browser, Locator, Page, expect

from llmbench.cli import main
from llmbench.store import tables

pytestmark = pytest.mark.browser

ATTEMPTS = len(MODELS) * len(IDS) * RUNS


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page of malicious answers."""
    folder = tmp_path_factory.mktemp("hostile")
    write_run(folder)
    page, problems = folder / "r.html", folder / "p.yaml"
    assert (
        main(["report", str(folder / "r.parquet"), "-o", str(page), "--problems", str(problems)])
        == 0
    )
    return page


def test_every_plot_is_drawn_and_has_a_table_and_no_request_leaves_the_page(
    hostile: Path, opened: Opened
) -> None:
    page = opened(hostile)
    assert draw_all(page) == 10
    assert page.locator("#board tbody tr").count() == len(MODELS)
    for figure in page.locator("figure:has([data-figure]):not(#leaderboard)").all():
        assert figure.locator("tbody tr").count() > 0
    for figure in page.locator("figure:has([data-figure])").all():
        assert figure.locator("[data-figure]").get_attribute("aria-label")


def test_the_policy_of_the_page_forbids_requests_and_foreign_scripts(
    hostile: Path, chromium: Browser
) -> None:
    page = chromium.new_page()
    page.goto(hostile.as_uri())
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/image.png"
        forbidden = page.evaluate(TRESPASS, url)
        elsewhere.settimeout(0.2)
        with pytest.raises(TimeoutError):
            elsewhere.accept()
    assert forbidden == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("typeof owned") == "undefined"
    page.close()


TRESPASS = """async (url) => {
        const directives = [];
        addEventListener("securitypolicyviolation", (event) => {
            directives.push(event.effectiveDirective);
        });
        const script = document.createElement("script");
        script.textContent = "owned = 1";
        const image = document.createElement("img");
        image.src = url;
        document.body.append(script, image);
        await fetch(url).catch(() => 0);
        await new Promise((done) => setTimeout(done, 100));
        return directives.sort();
    }"""


def test_output_of_a_model_stays_text(hostile: Path, opened: Opened) -> None:
    page = opened(hostile)
    draw_all(page)
    expect(page.locator("#board tbody th").last).to_have_text(f"lmstudio/n{MARKUP}")
    assert page.locator("img").count() == 0
    attempts_search(page).fill("mul")
    page.locator("#list button").first.click()
    expect(page.locator("#attempt-title")).to_contain_text(ENDS)
    page.locator("#close").click()
    attempts_search(page).fill("add")
    page.locator("#list button").first.click()
    expect(page.locator("#attempt-title")).to_contain_text("add")
    texts = page.locator("#body pre").all_text_contents()
    escaped = [text.replace("\u202e", "\\u202e").rstrip("\n") for text in (ANSWER, CODE, LOG)]
    assert texts[0].endswith("\n```python block.") or "Write add." in texts[0]
    assert texts[1:] == [f"Hm, {ENDS}", *escaped]
    assert page.locator("pre.code .k").first.text_content() == "def"
    assert page.evaluate("typeof owned") == "undefined"
    assert page.locator("#body img, #body script").count() == 0


def test_a_plot_shows_hostile_names_as_text(hostile: Path, opened: Opened) -> None:
    page = opened(hostile)
    page.locator("#leaderboard svg path[aria-roledescription=point]").last.hover()
    expect(page.locator("#vg-tooltip-element")).to_contain_text(MARKUP)
    assert page.locator("img").count() == 0


def test_attempts_are_filtered_ordered_and_opened(hostile: Path, opened: Opened) -> None:
    page = opened(hostile)
    count, items = page.locator("#count"), page.locator("#list button")
    expect(count).to_have_text(f"{ATTEMPTS} attempts")
    attempts_search(page).fill("SUB sums")
    expect(count).to_have_text(f"{ATTEMPTS // 3} of {ATTEMPTS} attempts")
    page.locator("#filter [name=outcome]").select_option("failed")
    expect(items).to_have_count(2)
    page.locator("#clear").click()
    expect(count).to_have_text(f"{ATTEMPTS} attempts")
    page.locator("#filter [name=target]").select_option(f"lmstudio/{MODELS[1]}")
    page.locator("#filter [name=order]").select_option("slowest first")
    expect(items).to_have_count(ATTEMPTS // 2)
    seconds = [
        float(text.removesuffix(" s")) for text in page.locator(".seconds").all_text_contents()
    ]
    assert seconds == sorted(seconds, reverse=True)
    items.nth(1).click()
    expect(page.get_by_role("dialog")).to_contain_text("run 3")
    page.get_by_role("dialog").get_by_role("button", name="run 1").click()
    expect(page.locator("#attempt-title")).to_contain_text("run 1")
    expect(page.locator("[aria-current=true]")).to_have_text("run 1: passed")


def test_the_keyboard_reaches_everything(hostile: Path, opened: Opened) -> None:
    page = opened(hostile)
    title, keys = page.locator("#attempt-title"), page.keyboard
    keys.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the attempts")
    keys.press("Enter")
    keys.press("/")
    keys.type("add")
    expect(page.locator("#list button")).to_have_count(2 * RUNS)
    while page.locator("#list :focus").count() == 0:
        keys.press("Tab")
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(title).to_have_text("add, run 2, by lmstudio/m")
    keys.press("ArrowRight")
    expect(title).to_have_text("add, run 3, by lmstudio/m")
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")
    expect(title).to_have_text("add, run 1, by lmstudio/m")
    expect(page.locator("#previous")).to_be_disabled()
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#list button").first).to_be_focused()


def test_a_cell_of_the_heat_map_selects_its_attempts(hostile: Path, opened: Opened) -> None:
    page = opened(hostile)
    cells = page.locator("#problems td button")
    assert cells.count() == len(IDS) * len(MODELS)
    cells.first.click()
    expect(page.locator("#list button")).to_have_count(RUNS)
    name = page.locator("#problems tbody .name").first.text_content()
    expect(page.locator("#list .problem").first).to_have_text(name or "")
    page.locator("#clear").click()
    expect(page.locator("#list button")).to_have_count(ATTEMPTS)
    cells.last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#list button")).to_have_count(RUNS)
    expect(page.locator("#list button").first).to_be_focused()
    assert "attempts-problem=" in page.url


def test_an_attempt_has_an_address(hostile: Path, opened: Opened) -> None:
    page = opened(hostile, "#attempt-4")
    expect(page.locator("#attempt-title")).to_have_text(re.compile("run 2, by lmstudio/m"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast_in_light_and_dark(
    hostile: Path, opened: Opened, scheme: str
) -> None:
    page = opened(hostile, color_scheme=scheme)
    ground = brightness(page, "document.body", "background-color")
    assert (ground < 0.1) == (scheme == "dark")
    label = page.locator("#leaderboard svg .role-axis-label text").first
    label.wait_for()
    fill = page.evaluate("(it) => getComputedStyle(it).fill", label.element_handle())
    card = brightness(page, "document.querySelector('figure')", "background-color")
    for ink in (luminance(fill), brightness(page, "document.body", "color")):
        assert (max(ink, card) + 0.05) / (min(ink, card) + 0.05) >= 4.5  # WCAG AA


def test_plots_follow_a_change_from_light_to_dark(hostile: Path, opened: Opened) -> None:
    page = opened(hostile, color_scheme="light")
    label = page.locator("#leaderboard svg .role-axis-label text").first
    fill = "(it) => getComputedStyle(it).fill"
    before = label.evaluate(fill)
    assert before
    page.emulate_media(color_scheme="dark")
    expect(label).not_to_have_css("fill", before)
    page.emulate_media(media="print")
    expect(label).to_have_css("fill", before)


def test_a_phone_shows_everything_without_horizontal_scrolling(
    hostile: Path, opened: Opened
) -> None:
    page = opened(hostile, viewport=PHONE, has_touch=True, is_mobile=True)
    draw_all(page)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for plot in page.locator(".plot svg").all():
        box = plot.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= PHONE["width"]
    page.locator("#list button").first.tap()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.locator("#attempt").bounding_box() == {"x": 0, "y": 0, **PHONE}
    body = page.locator("#body")
    assert body.evaluate("(it) => it.scrollWidth <= it.clientWidth")


def test_tables_are_visible_without_javascript(hostile: Path, opened: Opened) -> None:
    page = opened(hostile, java_script_enabled=False)
    expect(page.locator("#board table")).to_contain_text("lmstudio/m")
    expect(page.locator("#problems, #tags").first).to_be_visible()


def test_a_long_list_is_shown_in_parts(tmp_path: Path, opened: Opened) -> None:
    passes = {f"problem-{number:03}": [1, 0, 1] for number in range(80)}
    tables.write(result(passes), tmp_path / "r.parquet")
    assert main(["report", str(tmp_path / "r.parquet"), "-o", str(tmp_path / "r.html")]) == 0
    page = opened(tmp_path / "r.html")
    expect(page.locator("#list button")).to_have_count(100)
    page.get_by_role("button", name="Show more").click()
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#list button")).to_have_count(240)
    expect(page.locator("#more")).to_be_hidden()
    page.locator("#list button").last.click()
    expect(page.locator("#body")).to_contain_text("the run's work folder was not found")
    expect(page.locator("#next")).to_be_disabled()


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_twelve_targets_with_long_names_differ_and_nothing_is_cut_off(
    tmp_path: Path, opened: Opened, viewport: dict[str, int]
) -> None:
    names = [f"openrouter/some-lab/coder-{size}-with-a-long-name-of-its-own" for size in range(12)]
    results = [
        result(alike(p=[1, 0, 1], q=[0, 0, int(place > 5)]), target=name, tags="async")
        for place, name in enumerate(names)
    ]
    tables.write(pl.concat(results), tmp_path / "r.parquet")
    assert main(["report", str(tmp_path / "r.parquet"), "-o", str(tmp_path / "r.html")]) == 0
    page = opened(tmp_path / "r.html", viewport=viewport)
    draw_all(page)
    assert page.evaluate(CUT_OFF) == []
    for id_ in ("latency", "pass-at-k"):
        assert page.evaluate(SYMBOLS, id_) == len(names)
    assert page.locator("#board tbody tr").count() == len(names)


CUT_OFF = """() => [...document.querySelectorAll(".plot svg")].flatMap((svg) => {
        const edge = svg.getBoundingClientRect();
        return [...svg.querySelectorAll("text")].filter((text) => {
            const own = text.getBoundingClientRect();
            return own.width && (own.left < edge.left - 1 || own.right > edge.right + 1);
        }).map((text) => text.textContent);
    })"""

SYMBOLS = """(id) => {
        const symbols = document.querySelectorAll(`#${id} .role-legend-symbol path`);
        return new Set([...symbols].filter((one) => one.getAttribute("fill") !== "transparent")
            .map((one) => one.getAttribute("fill") + one.getAttribute("d"))).size;
    }"""


def test_several_dates_are_a_history(tmp_path: Path, opened: Opened) -> None:
    for date, passed in (("2026-01-30", 1), ("2026-01-31", 0)):
        passes = alike(**{f"p{i}": [passed] * 3 for i in range(9)})
        tables.write(result(passes), tmp_path / f"{date}.parquet")
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 0
    page = opened(tmp_path / "r.html")
    expect(page.locator("header")).to_contain_text("2026-01-31")
    draw_all(page)
    expect(page.locator("#history svg path[aria-roledescription=point]")).to_have_count(2)
    page.locator("#history summary").click()
    expect(page.locator("#history tbody tr")).to_have_count(2)
    expect(page.locator("#board tbody td").first).to_have_text("26.7%")


def attempts_search(page: Page) -> Locator:
    return page.locator("#filter [name=text]")


def brightness(page: Page, element: str, style: str) -> float:
    return luminance(page.evaluate(f"getComputedStyle({element}).getPropertyValue('{style}')"))


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
