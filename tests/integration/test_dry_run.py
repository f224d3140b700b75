"""`llmbench run --dry-run`: the size of a run, without one."""

from pathlib import Path

import pytest
from helpers.cli import run

pytestmark = pytest.mark.anyio

SHORT = ["--provider", "demo", "--model", "demo-small", "--only", "python-lru*"]


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│ ").split("│")]


async def test_a_dry_run_prints_the_size_of_the_run_and_asks_nothing(tmp_path: Path) -> None:
    ran = await run(tmp_path, *SHORT, "--runs", "4", "--max-tokens", "1000", "--dry-run")
    assert ran.code == 0, ran.err
    (line,) = [line for line in ran.out.splitlines() if "demo/demo-small" in line]
    cells = cells_of(line)
    assert cells[1] == "4"
    assert "4,000" in cells
    assert "no model was asked" in ran.out
    assert not (tmp_path / "_work").exists()


async def test_expected_figures_come_from_earlier_runs(tmp_path: Path) -> None:
    assert (await run(tmp_path, *SHORT, "--runs", "1")).code == 0
    ran = await run(tmp_path, *SHORT, "--runs", "2", "--dry-run")
    (line,) = [line for line in ran.out.splitlines() if "demo/demo-small" in line]
    cells = cells_of(line)
    assert int(cells[3].replace(",", "")) > 100
    assert cells[-1].endswith("min")


async def test_a_dry_run_does_not_resume(tmp_path: Path) -> None:
    assert (await run(tmp_path, *SHORT, "--runs", "1")).code == 0
    ran = await run(tmp_path, "--resume", "--dry-run")
    assert (ran.code, ran.err.count("--dry-run cannot be given with --resume")) == (2, 1)
