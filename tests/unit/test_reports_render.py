"""Documents in each output format."""

import json
from io import StringIO

import pytest
from rich.console import Console

from llmbench.reports import console as console_module
from llmbench.reports import render as render_module
from llmbench.reports import schema
from llmbench.reports.render import FORMATS, Code, Document, Grid, Line, Paragraph, render

DOCUMENT = Document(
    [
        Paragraph([Line("take care", "bold yellow", strong=True)]),
        Grid(
            head=["name", "rate"],
            rows=[["a_b|c", "1%"], [Code("x_y"), "2%"]],
            text_columns=1,
            title="rates",
            styles=["red", ""],
            sparkline="▁█",
        ),
        Paragraph([Line("one"), Line("_two_ *three*")], bullets=True),
    ],
    {"names": ["é"]},
)


def as_string(document: Document, format: str) -> str:
    console = Console(file=StringIO(), width=80, highlight=False, markup=False)
    for part in render(document, format):
        console.print(part, end="" if isinstance(part, str) else "\n")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_text_has_titles_tables_and_sentences() -> None:
    lines = as_string(DOCUMENT, "text").splitlines()
    assert lines[0] == "take care"
    assert lines[1].startswith("rates  ▁█")
    assert "│ a_b|c │   1% │" in lines
    assert lines[-2:] == ["one", "_two_ *three*"]


def test_json_is_the_data_alone() -> None:
    text = as_string(DOCUMENT, "json")
    assert json.loads(text) == {"names": ["é"]}
    assert "é" in text


def test_markdown_escapes_all_but_code_and_underscores_inside_words() -> None:
    assert as_string(DOCUMENT, "markdown").split("\n\n") == [
        "**take care**",
        "### Rates",
        "| name | rate |\n|---|---:|\n| a_b\\|c | 1% |\n| `x_y` | 2% |",
        "- one\n- \\_two\\_ \\*three\\*\n",
    ]


def test_a_format_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    csv = {"csv": lambda document: iter([",".join(document.data["names"])])}
    monkeypatch.setattr(render_module, "FORMATS", {**FORMATS, **csv})
    assert list(render(DOCUMENT, "csv")) == ["é"]


def test_the_console_writes_strings_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    long = f"[bold]{'x' * 300}\t[/bold]\n"
    console_module.Console(quiet=False).print_tables([long])
    assert capsys.readouterr().out == long


def test_the_schema_in_markdown_is_the_table_of_the_manual() -> None:
    page = "".join(map(str, render(schema.document(), "markdown")))
    assert page == "\n".join(schema.markdown()) + "\n"
    assert "| `passed` | bool, may be null |" in page
