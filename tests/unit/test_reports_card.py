"""The card of a result, to paste into an issue."""

from pathlib import Path
from typing import Any

from helpers.factories import row

from llmbench.reports.card import card
from llmbench.reports.render import render
from llmbench.store import tables

SESSION = {
    "llmbench": "0.2.0",
    "start": "2026-11-30T10:42:29+00:00",
    "hardware": {
        "cpu": "Ryzen 9",
        "memory_bytes": 64_000_000_000,
        "gpus": [{"name": "RTX 4090", "memory_bytes": 24_000_000_000}],
    },
}
OPTIONS = {
    "provider": "ollama",
    "model": ["qwen3:8b"],
    "param": ["num_ctx=8192"],
    "warm_up": False,
    "only": ["python-*"],
    "out": ["/home/me/r.csv"],
}


def markdown(record: dict[str, Any] | None, **changes: Any) -> str:
    rows = [row(run=run, server="Ollama 0.12.3", **changes) for run in (1, 2)]
    return "".join(map(str, render(card(tables.to_frame(rows), record), "markdown")))


def test_a_card_says_what_was_measured_and_how_to_measure_it_again() -> None:
    text = markdown(
        {"run": "r", "sessions": [SESSION], "options": OPTIONS},
        quantization="Q4_K_M",
        parameters=8_190_735_360,
        context_length=8192,
        reasoning_effort="none",
    )
    assert "### Target lmstudio/m" in text
    for line in (
        "| attempts | 2 scored of 2: 1 problem × 2 runs |",
        "| quantization | Q4_K_M |",
        "| parameters | 8.19B |",
        "| context | 8,192 |",
        "| server | Ollama 0.12.3 |",
        "| sampling | max_tokens 4096; temperature 0.2; reasoning_effort none |",
        "| machine of llmbench | Ryzen 9, 64 GB memory, RTX 4090 24 GB |",
        "| command | `llmbench --provider ollama --model qwen3:8b --param num_ctx=8192 "
        "--no-warm-up --only 'python-*'` |",
    ):
        assert line in text
    assert "/home/me" not in text


def test_a_card_without_a_record_says_what_the_rows_say() -> None:
    text = markdown(None)
    assert "pass rate | 100.0%" in text
    assert "command" not in text
    assert "quantization" not in text


def test_the_record_of_a_result_is_in_a_parquet_file(tmp_path: Path) -> None:
    table = tables.to_frame([row()])
    record = '{"run": "r", "sessions": [{}]}'
    tables.write(table, tmp_path / "r.parquet", {"llmbench": record})
    tables.write(table, tmp_path / "r.csv", {"llmbench": record})
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    assert tables.run_record(tmp_path / "r.parquet") == {"run": "r", "sessions": [{}]}
    assert tables.run_record(tmp_path / "r.csv") is None
    assert tables.run_record(tmp_path / "torn.parquet") is None
