"""Answers graded without a model: the same verdicts, rows and tables as in a run."""

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
TESTED = ("test_seconds", "test_cpu_seconds", "log_head")
"""What differs from one grading to the next."""


def reference(id_: str = PROBLEM) -> str:
    (found,) = (p for p in problems.load([bundled_dir("problems")], LANGUAGES) if p.id == id_)
    return f"Here it is.\n\n```{found.lang}\n{found.reference}```\n"


def write(path: Path, *lines: object) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


async def grade(folder: Path, *flags: str) -> Ran:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    return await run(folder, "grade", *flags, *FLAGS)


async def test_published_answers_are_graded_and_claim_no_times(tmp_path: Path) -> None:
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
    assert "4 answers to 1 problems, by 2 targets, are graded; no model is asked" in ran.err
    assert "no model was asked, and these figures rank nothing" not in ran.out


async def test_an_earlier_run_is_graded_again_to_the_same_rows(tmp_path: Path) -> None:
    asked = await run(
        tmp_path, "--provider", "demo", "--only", f"{PROBLEM},typescript-typed-emitter", *FLAGS
    )
    assert asked.code == 0, asked.err
    (folder,) = tmp_path.glob("_work/*")
    ran = await grade(tmp_path, str(folder), "--out", "again.parquet")
    assert ran.code == 0, ran.err
    before = tables.read(folder / "results.csv").drop(TESTED)
    again = tables.read(tmp_path / "again.parquet").drop(TESTED)
    assert before.equals(again)
    assert len(set(before["outcome"])) > 2
    assert "no model was asked, and these figures rank nothing" in ran.out
    compared = await run(tmp_path, "compare", str(folder / "results.csv"), "again.parquet")
    assert compared.code == 0, compared.err


async def test_what_cannot_be_graded_is_named_and_makes_the_exit_code_one(tmp_path: Path) -> None:
    bad = [{"problem_id": f"no-{n}", "answer": ""} for n in range(12)]
    write(tmp_path / "a.jsonl", *bad, {"problem_id": PROBLEM, "answer": reference()})
    ran = await grade(tmp_path, "a.jsonl", "--quiet", "--out", "a.csv")
    assert ran.code == 1
    assert ran.err.count("no problem has the id") == 10
    assert "and 2 more lines that cannot be graded" in ran.err
    assert "12 lines of a.jsonl were left out" in ran.err
    assert tables.read(tmp_path / "a.csv")["outcome"].to_list() == ["passed"]


async def test_answers_come_from_stdin_too(tmp_path: Path) -> None:
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
    ("name", "text", "code", "said"),
    [
        ("none.jsonl", None, 2, "cannot be read: No such file"),
        ("empty.jsonl", "", 1, "holds no answer to grade"),
    ],
)
async def test_nothing_to_grade_is_told_in_a_line(
    tmp_path: Path, name: str, text: str | None, code: int, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    ran = await run(tmp_path, "grade", name, *FLAGS)
    assert ran.code == code
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
