"""Impossible figures of a server cost neither a run nor its continuation."""

import re
from pathlib import Path

import polars as pl
import pytest
from helpers.cli import LANGUAGES, run
from helpers.sandboxes import opened
from helpers.scripted_server import Script, chunk, events, scripted

from llmbench import problems
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap]

ID = "python-lru-ttl-cache"
HUGE = 2**64 - 1
FLAGS = ["--model", "m", "--only", ID, "--sandbox", "bubblewrap", "--out", "r.parquet"]


@pytest.fixture(autouse=True)
async def _toolchain() -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass


async def test_a_run_with_impossible_counts_ends_in_a_table_and_can_be_resumed(
    tmp_path: Path,
) -> None:
    (problem,) = (p for p in problems.load([bundled_dir("problems")], LANGUAGES) if p.id == ID)
    usage = {"prompt_tokens": 100, "completion_tokens": HUGE, "total_tokens": 99, "cost": -0.5}
    answer = chunk(f"```python\n{problem.reference}```\n", "stop")
    script = Script([events(answer, {"choices": [], "usage": usage})])
    async with scripted(script, provider="lmstudio") as (server, _):
        first = await run(tmp_path, "--base-url", server.base_url, "--runs", "2", *FLAGS)
        assert first.code == 0, first.err
        (journal,) = (tmp_path / "_work").glob("*/journal.jsonl")
        text, changes = re.subn(r'("completion_tokens"):\d+', rf"\1:{HUGE}", journal.read_text())
        assert changes == 4  # two answers and their rows, as earlier versions wrote them
        journal.write_text(text)
        again = await run(tmp_path, "--resume", "--runs", "3")
    assert again.code == 0, again.err
    assert "Traceback" not in first.err + again.err
    table = pl.read_parquet(tmp_path / "r.parquet").sort("run")
    assert table["passed"].to_list() == [True] * 3
    assert table["prompt_tokens"].to_list() == [100] * 3
    assert table["completion_tokens"][:2].to_list() == [None, None]
    assert 0 < table["completion_tokens"][2] < 2000
    assert table["cost_usd"].to_list() == [None] * 3
