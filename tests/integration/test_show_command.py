"""`llmbench show`: texts that exist, texts that are missing, and escaped output."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.cli import run
from helpers.factories import attempt, row

from llmbench.completions import Completion
from llmbench.store import journal, tables
from llmbench.store.journal import CompletionEntry, Journal, ResultEntry
from llmbench.store.run_dir import RunDirectory

pytestmark = pytest.mark.anyio

ANSWER = "Clear \x1b[2J it:\n```python\ndef add(a, b):\n    return a + b  # \x1b]0;owned\x07\n```\n"
PROBLEM = """\
- id: add
  lang: python
  prompt: Write add.
  tests: {test_add.py: assert True}
"""


@pytest.fixture
def work(tmp_path: Path) -> RunDirectory:
    """Make the folder of a run with two attempts; its table is `r.csv` beside `_work`."""
    work = RunDirectory(tmp_path / "_work")
    rows = []
    with Journal(work.path) as log:
        for number, seconds in ((1, 2.125), (2, 3.25)):
            tried = attempt(run=number)
            answer = Completion(ANSWER, reasoning="Let me \u202e see.", llm_seconds=seconds)
            log.append(CompletionEntry(tried.key, answer))
            ended = row(
                run=number,
                llm_seconds=seconds,
                log_head="3 passed",
                problem_sha256=tried.problem.sha256,
            )
            log.append(ResultEntry(ended))
            code = f"# code of run {number}\n"
            texts = {"answer.md": ANSWER, "solution.py": code, "log.txt": "3 passed\nin \x1b[5mall"}
            work.keep(tried, texts)
            rows.append(ended)
    tables.write(tables.to_frame(rows), tmp_path / "r.csv")
    (tmp_path / "p.yaml").write_text(PROBLEM)
    return work


async def test_show_prints_prompt_reasoning_answer_code_and_log(
    tmp_path: Path, work: RunDirectory
) -> None:
    ran = await run(tmp_path, "show", "r.csv", "add#2", "--problems", "p.yaml")
    assert ran.code == 0, ran.err
    for words in (
        "add run 2 by lmstudio/m", "3 of 3 tests passed", "3.25 s", "all runs: #1 passed, #2 p",
        "[user]\nWrite add.", "Let me \\u202e see.", "Clear \\x1b[2J it:", "# code of run 2",
        "in \\x1b[5mall", f"kept in: {work.path.relative_to(tmp_path)}",
    ):  # fmt: skip
        assert words in ran.out
    assert "# code of run 1" not in ran.out
    assert "not there" not in ran.out
    assert not set(ran.out) & {"\x1b", "\x07", "\u202e"}


async def test_missing_texts_are_reported(tmp_path: Path, work: RunDirectory) -> None:
    shutil.rmtree(work.path / "lmstudio_m")
    half = await run(tmp_path, "show", "r.csv", "add")
    assert half.code == 0
    assert "return a + b" in half.out  # extracted from the answer in the journal
    assert "log, its head alone" in half.out
    assert "not there: problem add has changed since" in half.out
    shutil.rmtree(work.path)
    gone = await run(tmp_path, "show", "r.csv", "add")
    assert gone.code == 0
    assert gone.out.count("work folder was not found; name the folder that holds it") == 2


async def test_without_the_journal_the_work_folder_is_not_found(
    tmp_path: Path, work: RunDirectory
) -> None:
    (work.path / journal.NAME).unlink()
    ran = await run(tmp_path, "show", "r.csv", "add")
    assert "work folder was not found" in ran.out  # only the journal tells which of many it was
    assert ran.code == 0


async def test_the_work_folder_may_be_named(tmp_path: Path, work: RunDirectory) -> None:
    (tmp_path / "_work").rename(tmp_path / "moved")
    ran = await run(tmp_path, "show", "r.csv", "add", "--work", "moved")
    assert "# code of run 1" in ran.out


async def test_a_result_inside_its_work_folder_finds_it(tmp_path: Path, work: RunDirectory) -> None:
    shutil.move(tmp_path / "r.csv", work.path / "results.csv")
    ran = await run(work.path, "show", "results.csv", "add")
    assert "# code of run 1" in ran.out


async def test_an_attempt_without_an_answer_shows_the_error(tmp_path: Path) -> None:
    bad = row(
        outcome="provider_error", score=None, passed=None, llm_seconds=None, log_head="HTTP 500"
    )
    other = replace(bad, target="lmstudio/n", model="n")
    tables.write(tables.to_frame([bad, other]), tmp_path / "r.parquet")
    ran = await run(tmp_path, "show", "r.parquet", "add", "--target", "n")
    assert "not there: the server gave no answer" in ran.out
    assert "HTTP 500" in ran.out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["none.csv", "add"], "none.csv: cannot be read"),
        (["r.csv", "sub"], "sub: no such problem in r.csv; there are: add"),
        (["r.csv", "add#3"], "add#3: no such run; there are: #1, #2"),
        (["r.csv", "add#0"], "'add#0' is not a problem id, alone or with the number of a run"),
        (["r.csv", "add", "--target", "q"], "q: no such target: choose with --target from lmst"),
    ],
)
async def test_an_error_is_one_line(
    tmp_path: Path, work: RunDirectory, flags: list[str], words: str
) -> None:
    ran = await run(tmp_path, "show", *flags)
    assert ran.code == 2
    assert words in ran.err
    assert "Traceback" not in ran.err


async def test_one_of_several_targets_must_be_chosen(tmp_path: Path) -> None:
    rows = [row(), row(target="lmstudio/n", model="n")]
    tables.write(tables.to_frame(rows), tmp_path / "r.csv")
    ran = await run(tmp_path, "show", "r.csv", "add")
    assert ran.code == 2
    assert "several targets: choose with --target from lmstudio/m, lmstudio/n" in ran.err
