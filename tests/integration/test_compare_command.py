"""`llmbench compare` in scripts: exit codes, formats, and one line per error."""

import json
from pathlib import Path

import pytest
from helpers.cli import run
from helpers.factories import row

from llmbench.store import tables

pytestmark = pytest.mark.anyio


def write(path: Path, passes: int, problems: int = 12, **changes: object) -> None:
    """Write a result in which so many of the problems pass."""
    rows = [
        row(
            **changes,
            problem_id=f"p{i}",
            score=100.0 * (i < passes),
            passed=i < passes,
            outcome="passed" if i < passes else "failed",
        )
        for i in range(problems)
    ]
    tables.write(tables.to_frame(rows), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "good.csv", 12)
    write(tmp_path / "fair.parquet", 10)
    write(tmp_path / "bad.parquet", 3)
    write(tmp_path / "other.csv", 12, problem_sha256="changed")
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ("good.csv bad.parquet", 0),
        ("good.csv bad.parquet --fail-on-regression", 1),
        ("--fail-on-regression good.csv bad.parquet", 1),
        ("good.csv fair.parquet --fail-on-regression", 0),
        ("good.csv fair.parquet --fail-on-regression 10", 1),
        ("good.csv fair.parquet --fail-on-regression=20", 0),
        ("bad.parquet good.csv --fail-on-regression", 0),
        ("good.csv good.csv --fail-on-regression 0", 0),
        ("good.csv other.csv --fail-on-regression", 2),
        ("good.csv none.csv", 2),
        ("good.csv", 2),
        ("good.csv --fail-on-regression", 2),
        ("good.csv bad.parquet --fail-on-regression 101", 2),
        ("", 2),
    ],
)
async def test_the_exit_code_tells_success_regression_and_error(
    folder: Path, flags: str, code: int
) -> None:
    ran = await run(folder, "compare", *flags.split())
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert ("llmbench: regression: " in ran.err) == (code == 1)
    assert bool(ran.out) == (code != 2)


async def test_a_target_that_cannot_be_compared_fails(folder: Path) -> None:
    unscored = {"score": None, "passed": None, "outcome": "provider_error", "problem_id": "p0"}
    for name, changes in (("a.csv", {}), ("b.csv", unscored)):
        rows = [
            row(target="x", problem_id="p0"),
            row(**{"target": "y", "problem_id": "p0", **changes}),
        ]
        tables.write(tables.to_frame(rows), folder / name)
    ran = await run(folder, "compare", "a.csv", "b.csv", "--fail-on-regression")
    assert ran.code == 2
    assert "b.csv x against a.csv x: the same pass rate" in ran.out
    assert "llmbench: a.csv y and b.csv y have no scored problem in common" in ran.err
    assert (await run(folder, "compare", "a.csv", "b.csv")).code == 0


async def test_a_verdict_is_one_line_in_a_pipe(folder: Path) -> None:
    long = folder / f"{'long' * 40}.csv"
    write(long, 3)
    ran = await run(folder, "compare", "good.csv", long.name)
    assert f"{long.name} against good.csv: 75.0 points worse" in ran.out
    assert ran.out.splitlines()[0].endswith("p = 0.0039)")


async def test_stdout_contains_json_only(folder: Path) -> None:
    flags = ["good.csv", "bad.parquet", "--format", "json", "--fail-on-regression"]
    ran = await run(folder, "compare", *flags)
    (line,) = json.loads(ran.out)["differences"]
    assert (line["baseline"], line["candidate"], line["problems"]) == (
        "good.csv",
        "bad.parquet",
        12,
    )
    assert line["difference"] == pytest.approx(-9 / 12)
    assert ran.code == 1


async def test_markdown_and_text_have_the_same_content(folder: Path) -> None:
    page = await run(folder, "compare", "good.csv", "bad.parquet", "--format", "markdown")
    text = await run(folder, "compare", "good.csv", "bad.parquet")
    for words in ("bad.parquet against good.csv: 75.0 points worse", "broken", "detects"):
        assert words in page.out
        assert words in text.out


async def test_a_changed_problem_is_named(folder: Path) -> None:
    ran = await run(folder, "compare", "good.csv", "other.csv")
    assert "p0 has changed: its task, tests or settings differ" in ran.err
    assert ran.code == 2
