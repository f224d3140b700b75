"""Draws the pictures of the manual from a run of the demo: the terminal's table, and the page.

python scripts/screenshots.py [RESULT]

RESULT is a result file of a demo run; without it the demo runs first. Both pictures are SVG, which
is text: rich draws the table, and the page is its own HTML and styles, as Chromium has laid it out.
"""

import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

import polars as pl
from playwright.sync_api import sync_playwright
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from llmbench.reports.summary import summary
from llmbench.store import tables

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
COLUMNS = 100
WIDTH = 1200
CHROMIUM = "/usr/bin/chromium"
CUT = """
() => {
  document.querySelectorAll("section:not(#part-1), footer, .skip, dialog, script, noscript")
    .forEach((e) => e.remove());
  document.querySelectorAll("#part-1 > :not(h2, #board)").forEach((e) => e.remove());
  document.querySelectorAll("#board option:not(:first-child)").forEach((e) => e.remove());
  const inside = (rule) => rule.selectorText.split(",").some((each) => {
    const plain = each.replace(/::?(before|after|hover|focus[a-z-]*|marker)/g, "").trim() || "*";
    return /^(:root|html|body|\\*)/.test(plain) || document.querySelector(plain) !== null;
  });
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
    .filter((rule) => rule.selectorText && inside(rule)).map((rule) => rule.cssText);
  const page = document.createElement("div");
  page.className = "page";
  page.style.cssText = "display: flow-root; padding-bottom: 1.25rem";
  page.append(...document.body.children);
  document.body.append(page);
  const height = Math.ceil(page.getBoundingClientRect().height);
  return [height, rules.join("\\n"), new XMLSerializer().serializeToString(page)];
}
"""
"""Leaves the head of the page and the leaderboard; returns height, styles and XHTML."""


def main() -> None:
    """Draw both pictures."""
    if sys.argv[1:]:
        draw(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "demo.parquet")
        llmbench("--provider", "demo", "--quiet", "--out", str(result), folder=folder)
        draw(result)


def draw(result: Path) -> None:
    """Draw both pictures of a result."""
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "terminal.svg").write_text(terminal(tables.read(result)), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        html = Path(folder, "report.html")
        llmbench("report", str(result.resolve()), "-o", str(html), folder=folder)
        (IMAGES / "report.svg").write_text(page(html), encoding="utf-8")


def llmbench(*words: str, folder: str) -> None:
    """Run a command in a folder."""
    subprocess.run([sys.executable, "-m", "llmbench", *words], cwd=folder, check=True)


def terminal(rows: pl.DataFrame) -> str:
    """Return the summary as SVG that loads no font."""
    console = Console(file=StringIO(), record=True, width=COLUMNS, force_terminal=True)
    for part in summary(rows, COLUMNS):
        console.print(part)
    layout = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    layout = layout.replace("Fira Code", "ui-monospace, Menlo, Consolas")
    svg = console.export_svg(title="llmbench --provider demo", code_format=layout, unique_id="t")
    return _without_blanks(svg)


def page(html: Path) -> str:
    """Return the head of the page and its leaderboard as SVG."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": WIDTH, "height": 900})
        view.goto(html.as_uri())
        view.wait_for_selector("#board tbody tr")
        height, styles, body = view.evaluate(CUT)
        browser.close()
    styles = re.sub(r"(?m)^(:root|html|body)(?=[ ,{])", ".page", styles)
    return _without_blanks(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">\n'
        f"<style><![CDATA[\n{styles}\n]]></style>\n"
        f'<foreignObject width="{WIDTH}" height="{height}">{body}</foreignObject>\n</svg>\n'
    )


def _without_blanks(text: str) -> str:
    """Return the text without blanks at the ends of lines and without empty lines."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if line.strip())


if __name__ == "__main__":
    main()
