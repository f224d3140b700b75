"""`llmbench report` without a browser: content of the page, and errors."""

import base64
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.cli import run
from helpers.factories import result, row
from helpers.hostile_run import CODE, ENDS, MARKUP, MODELS, write_run

from llmbench import stats
from llmbench.cli import main
from llmbench.reports.format import whole_percent
from llmbench.reports.html import attempts, highlight
from llmbench.reports.sections import Section
from llmbench.store import tables

pytestmark = pytest.mark.anyio


def write_page(folder: Path, *results: str) -> str:
    page = folder / "page.html"
    files = [str(folder / name) for name in results]
    assert main(["report", *files, "-o", str(page), "--problems", str(folder / "p.yaml")]) == 0
    return page.read_text(encoding="utf-8")


def data(page: str, id_: str) -> Any:
    (text,) = re.findall(rf'<script type="application/json" id="{id_}">(.*?)</script>', page)
    return json.loads(text)


def texts_of(page: str) -> dict[str, Any]:
    texts: dict[str, Any] = {}
    for chunk in re.findall(r'<script type="text/plain" id="chunk-\d+">(.*?)</script>', page):
        texts |= json.loads(zlib.decompress(base64.b64decode(chunk)))
    return texts


def test_output_of_a_model_is_no_markup_and_no_server_is_named(tmp_path: Path) -> None:
    write_run(tmp_path)
    page = write_page(tmp_path, "r.parquet")
    assert MARKUP not in page
    assert ENDS not in page
    shell = re.sub(r"(?s)<script.*?</script>", "", page)
    assert not re.search(r"(?:src|href)=\"(?!#|data:,)", shell)
    assert not re.search(r"url\(|@import", shell)


def test_the_policy_allows_exactly_the_scripts_of_the_page(tmp_path: Path) -> None:
    write_run(tmp_path)
    page = write_page(tmp_path, "r.parquet")
    scripts = re.findall(r"(?s)<script>(.*?)</script>", page)
    hashes = [hashlib.sha256(script.encode()).digest() for script in scripts]
    assert len(hashes) == 6
    assert re.findall(r"sha256-(\S+)'", page) == [base64.b64encode(h).decode() for h in hashes]
    assert "default-src 'none'" in page


def test_every_attempt_is_indexed_with_its_own_texts(tmp_path: Path) -> None:
    rows = write_run(tmp_path)
    page = write_page(tmp_path, "r.parquet")
    index, texts = data(page, "attempt-index"), texts_of(page)
    assert index["targets"] == [f"lmstudio/{model}" for model in MODELS]
    assert len(index["attempts"]) == len(texts) == len(rows)
    for i, (expected, entry) in enumerate(zip(rows, index["attempts"], strict=True)):
        assert index["problems"][entry[1]][0] == expected.problem_id
        assert (entry[2], entry[6]) == (expected.run, expected.llm_seconds)
        assert f"{expected.llm_seconds:.2f} s to answer" in texts[str(i)]["facts"]
    sections = {each["title"]: each for each in texts["0"]["sections"]}
    assert list(sections) == ["prompt", "reasoning", "answer", "code: solution.py", "log"]
    assert sections["prompt"]["text"].startswith("[system]\n")
    assert sections["code: solution.py"]["text"] == CODE.replace("\u202e", "\\u202e").rstrip("\n")


def test_figures_show_the_statistics(tmp_path: Path) -> None:
    write_run(tmp_path)
    page = write_page(tmp_path, "r.parquet")
    specs = data(page, "figures")
    table = tables.read(tmp_path / "r.parquet")
    drawn = {line["target"]: line for line in specs["leaderboard"]["datasets"]["rows"]}
    for line in stats.summarize(table, ["target"]).iter_rows(named=True):
        for name in ("pass_rate", "ci_low", "ci_high"):
            assert drawn[line["target"]][name] == pytest.approx(line[name], abs=1e-6)
    rates = stats.summarize(table, ["problem_id", "target"])["pass_rate"]
    cells = re.findall(r'<td class="r\d+"><button type="button">(\d+%)</button>', page)
    assert sorted(cells) == sorted(whole_percent(rate) for rate in rates)


def test_each_target_is_shown_at_its_latest_date(tmp_path: Path) -> None:
    (tmp_path / "nights/2026-01-31").mkdir(parents=True)
    old = [row(target=f"a/{name}", model=name, provider="a") for name in ("x", "y")]
    tables.write(tables.to_frame(old), tmp_path / "nights/2026-01-30.parquet")
    new = row(target="a/x", model="x", provider="a", outcome="failed", score=0.0, passed=False)
    tables.write(tables.to_frame([new]), tmp_path / "nights/2026-01-31/x.csv")
    (tmp_path / "p.yaml").write_text("[]\n")
    page = write_page(tmp_path, "nights")
    specs = data(page, "figures")
    rates = {line["target"]: line["pass_rate"] for line in specs["leaderboard"]["datasets"]["rows"]}
    assert rates == {"a/x": 0.0, "a/y": 1.0}
    assert len(specs["history"]["datasets"]["rows"]) == 3
    assert "2026-01-30, 2026-01-31" in page


def test_repairs_have_their_own_figure_and_are_in_no_other(tmp_path: Path) -> None:
    failed: dict[str, Any] = {"outcome": "failed", "score": 0.0, "passed": False}
    first = [row(run=1), row(run=2, **failed), row(run=3, **failed)]
    repairs = [row(run=2, round=2), row(run=3, round=2, **failed), row(run=9, round=2)]
    tables.write_with_repairs(tables.to_frame(first), None, tmp_path / "r.csv", {})
    (tmp_path / "p.yaml").write_text("[]\n")
    plain = data(write_page(tmp_path, "r.csv"), "figures")
    tables.write_with_repairs(
        tables.to_frame(first), tables.to_frame(repairs), tmp_path / "r.csv", {}
    )
    for name in ("r.csv", ""):
        page = write_page(tmp_path, name)
        specs = data(page, "figures")
        assert [
            (line["round"], line["attempts"], line["pass_rate"])
            for line in specs.pop("repairs")["datasets"]["rows"]
        ] == [(1, 3, pytest.approx(1 / 3)), (2, 2, pytest.approx(2 / 3))]
        assert specs == plain
        assert len(data(page, "attempt-index")["attempts"]) == 3


def test_a_page_says_if_costs_times_or_repeated_runs_are_missing(tmp_path: Path) -> None:
    bare: dict[str, Any] = dict.fromkeys(
        ("cost_usd", "llm_seconds", "ttft_seconds", "tokens_per_second")
    )
    rows = [row(**bare), row(**bare, problem_id="sub", outcome="provider_error", score=None,
                             passed=None, log_head="HTTP 500")]  # fmt: skip
    tables.write(tables.to_frame(rows), tmp_path / "r.csv")
    (tmp_path / "p.yaml").write_text("[]\n")
    page = write_page(tmp_path, "r.csv")
    assert "No answer has a known cost" in page
    assert "cost per solved" not in page
    assert "No row has ttft_seconds" in page
    assert "Each problem ran once" in page
    assert "1 of 2 attempts were not scored" in page
    sections = texts_of(page)["1"]["sections"]
    assert {"title": "log, its head alone", "text": "HTTP 500"} in sections
    assert any(each.get("missing") == "the server gave no answer" for each in sections)


def test_a_cost_without_a_pass_is_not_called_unknown(tmp_path: Path) -> None:
    rows = [row(outcome="failed", score=0.0, passed=False)]
    tables.write(tables.to_frame(rows), tmp_path / "r.csv")
    (tmp_path / "p.yaml").write_text("[]\n")
    assert "No answer with a known cost passed." in write_page(tmp_path, "r.csv")


def test_a_wide_range_has_a_logarithmic_scale(tmp_path: Path) -> None:
    rows = [row(run=run, ttft_seconds=0.03 * 2**run) for run in range(1, 11)]
    tables.write(tables.to_frame(rows), tmp_path / "r.csv")
    (tmp_path / "p.yaml").write_text("[]\n")
    figure = data(write_page(tmp_path, "r.csv"), "figures")["ttft_seconds"]
    across = figure["layer"][0]["encoding"]["x"]
    (line,) = figure["datasets"]["rows"]
    low, high = across["scale"]["domain"]
    assert across["scale"]["type"] == "log"
    assert low <= line["p5"] < line["p95"] <= high
    assert across["axis"]["values"] == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50])


@pytest.mark.parametrize("name", ["a.py", "a.go", "a.ts", "a.unknown"])
@pytest.mark.parametrize("code", ["", "\n\n x\n", CODE, "\r\n\t🦊 'unclosed", "def f(): ...\n\n"])
def test_the_lengths_of_tokens_add_up_to_that_of_the_code(name: str, code: str) -> None:
    tokens = re.findall(r"([a-z]?)(\d+)", highlight.token_spans(name, code))
    assert sum(int(length) for _, length in tokens) == len(code)


def test_the_middle_of_a_long_text_is_replaced_by_its_length() -> None:
    text = "a" * 30_000 + "b" * 30_000
    (chunk,) = attempts.chunks([row()], [(0, [Section("answer", text)])])
    (texts,) = json.loads(zlib.decompress(base64.b64decode(chunk.data))).values()
    (section,) = texts["sections"]
    assert "[20000 characters left out]" in section["text"]
    assert len(section["text"]) < 41_000
    assert (section["text"][0], section["text"][-1]) == ("a", "b")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["none.csv"], "none.csv: cannot be read"),
        (["empty.csv"], "no row in any of them"),
        (["folder"], "folder: holds no result file"),
        (["r.csv", "s.csv"], "several rows for"),
        (["r.csv", "-o", "none/r.html"], "none/r.html: cannot be written: No such file"),
    ],
)
async def test_an_error_is_one_line(tmp_path: Path, flags: list[str], words: str) -> None:
    table = result({"add": [1, 0]})
    for name in ("r.csv", "s.csv"):
        tables.write(table, tmp_path / name)
    tables.write(pl.DataFrame(schema=tables.SCHEMA), tmp_path / "empty.csv")
    (tmp_path / "folder").mkdir()
    ran = await run(tmp_path, "report", *flags)
    assert ran.code == 2
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


async def test_a_missing_package_is_named_with_the_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("llmbench.cli.report.NEEDED", ("json", "no_such_package"))
    assert main(["report", str(tmp_path / "r.csv")]) == 2
    err = capsys.readouterr().err
    assert err == "llmbench: not installed: no_such_package: pip install 'llmbench[report]'\n"
