"""`llmbench grade`: answers from a file get the same verdicts, rows and tables as in a run."""

import json
from pathlib import Path

import anyio
import polars as pl
import pytest
from helpers.cli import LANGUAGES, Ran, command, environment, run
from helpers.sandboxes import opened

from llmbench import problems
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners
from llmbench.store import tables

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap]

PROBLEM = "python-lru-ttl-cache"
FLAGS = ("--sandbox", "bubblewrap")
MEASURED = ("test_seconds", "test_cpu_seconds", "log_head")
"""The columns in which two gradings of the same answer differ."""


def reference(id_: str = PROBLEM) -> str:
    (problem,) = (p for p in problems.load([bundled_dir("problems")], LANGUAGES) if p.id == id_)
    return f"Here it is.\n\n```{problem.lang}\n{problem.reference}```\n"


def write(path: Path, *lines: object) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


async def grade(folder: Path, *flags: str) -> Ran:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    return await run(folder, "grade", *flags, *FLAGS)


async def test_answers_from_a_file_are_graded_and_have_no_times(tmp_path: Path) -> None:
    write(
        tmp_path / "gpt.jsonl",
        {"problem_id": PROBLEM, "answer": reference()},
        {"problem_id": PROBLEM, "answer": "I cannot."},
        {"problem_id": PROBLEM, "answer": "```python\ndef", "finish_reason": "length"},
        {"problem_id": PROBLEM, "answer": reference(), "model": "other"},
    )
    ran = await grade(tmp_path, "gpt.jsonl", "--out", "out.parquet")
    assert ran.code == 0, ran.err
    rows = pl.read_parquet(tmp_path / "out.parquet")
    assert rows.schema == tables.SCHEMA
    assert rows.select("target", "run", "outcome").rows() == [
        ("answers/gpt", 1, "passed"), ("answers/gpt", 2, "no_code"),
        ("answers/gpt", 3, "truncated"), ("answers/other", 1, "passed"),
    ]  # fmt: skip
    for column in ("llm_seconds", "queue_seconds", "requests", "max_tokens", "seed", "cost_usd"):
        assert rows[column].is_null().all(), column
    assert not rows["replayed"].any()
    assert "4 answers to 1 problem, by 2 targets, are graded; no model is asked" in ran.err
    assert "no model was asked, and these figures rank nothing" not in ran.out


async def test_an_earlier_run_is_graded_again_to_the_same_rows(tmp_path: Path) -> None:
    first = await run(
        tmp_path, "--provider", "demo", "--only", f"{PROBLEM},typescript-typed-emitter", *FLAGS
    )
    assert first.code == 0, first.err
    (folder,) = tmp_path.glob("_work/*")
    ran = await grade(tmp_path, str(folder), "--out", "again.parquet")
    assert ran.code == 0, ran.err
    before = tables.read(folder / "results.csv").drop(MEASURED)
    again = tables.read(tmp_path / "again.parquet").drop(MEASURED)
    assert before.equals(again)
    assert len(set(before["outcome"])) > 2
    assert "no model was asked, and these figures rank nothing" in ran.out
    comparison = await run(tmp_path, "compare", str(folder / "results.csv"), "again.parquet")
    assert comparison.code == 0, comparison.err


async def test_lines_that_cannot_be_graded_are_named_and_the_exit_code_is_one(
    tmp_path: Path,
) -> None:
    bad = [{"problem_id": f"no-{n}", "answer": ""} for n in range(12)]
    write(tmp_path / "a.jsonl", *bad, {"problem_id": PROBLEM, "answer": reference()})
    ran = await grade(tmp_path, "a.jsonl", "--quiet", "--out", "a.csv")
    assert ran.code == 1
    assert ran.err.count("no problem has the id") == 10
    assert "and 2 more lines that cannot be graded" in ran.err
    assert "12 lines of a.jsonl were skipped" in ran.err
    assert tables.read(tmp_path / "a.csv")["outcome"].to_list() == ["passed"]


async def test_answers_are_read_from_stdin(tmp_path: Path) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    done = await anyio.run_process(
        command("grade", "-", "--out", "a.csv", *FLAGS),
        input=json.dumps({"problem_id": PROBLEM, "answer": reference()}).encode(),
        cwd=tmp_path,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert tables.read(tmp_path / "a.csv")["target"].to_list() == ["answers/stdin"]


@pytest.mark.parametrize(
    ("name", "text", "code", "message"),
    [
        ("none.jsonl", None, 2, "cannot be read: No such file"),
        ("empty.jsonl", "", 1, "holds no answer to grade"),
    ],
)
async def test_a_file_without_answers_is_an_error_of_one_line(
    tmp_path: Path, name: str, text: str | None, code: int, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    ran = await run(tmp_path, "grade", name, *FLAGS)
    assert ran.code == code
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1
