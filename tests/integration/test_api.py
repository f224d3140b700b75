"""The Python API: the example of the manual, frames and files, and errors."""

import subprocess
import sys
from pathlib import Path

import anyio
import polars as pl
import pytest
from helpers import manual
from helpers.factories import row
from helpers.sandboxes import opened

import llmbench
from llmbench.errors import ResultFileError, UsageError
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners
from llmbench.store import tables


def two_rows() -> pl.DataFrame:
    return tables.to_frame([row(), row(target="b/y", outcome="failed", score=0.0, passed=False)])


@pytest.mark.bubblewrap
@pytest.mark.anyio
async def test_the_example_of_the_manual_runs_inside_an_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    monkeypatch.chdir(tmp_path)
    example = manual.block("docs/python-api.md", "python", "import llmbench\n")
    names: dict[str, object] = {}
    exec(example, names)
    table = names["table"]
    assert isinstance(table, pl.DataFrame)
    assert table.schema == tables.SCHEMA
    assert len(table) == 2 * 3 * 3
    comparison = names["comparison"]
    assert isinstance(comparison, llmbench.Comparison)
    assert comparison.differences["problems"].to_list() == [3]
    assert (tmp_path / "results.parquet").exists()
    assert len(list(tmp_path.glob("_work/*/journal.jsonl"))) == 1


@pytest.mark.bubblewrap
@pytest.mark.anyio
async def test_grade_returns_a_row_for_each_answer_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    monkeypatch.chdir(tmp_path)
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"problem_id": "go-lru-cache", "answer": "I cannot."}\n')
    table = llmbench.grade(answers=answers, sandbox="bubblewrap", out="graded.parquet")
    assert table.schema == tables.SCHEMA
    assert table.select("target", "outcome").rows() == [("answers/answers", "no_code")]
    assert tables.read(tmp_path / "graded.parquet").equals(table, null_equal=True)


def test_a_frame_and_its_file_give_the_same_comparison(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    tables.write(two_rows(), path)
    from_frame = llmbench.compare(two_rows()).differences
    assert from_frame.equals(llmbench.compare(path).differences)


def test_a_frame_of_several_files_is_compared_file_by_file(tmp_path: Path) -> None:
    for name in ("a.csv", "b.parquet"):
        tables.write(two_rows(), tmp_path / name)
    both = llmbench.load(tmp_path / "a.csv", str(tmp_path / "b.parquet"))
    pairs = llmbench.compare(both).differences.select("baseline", "candidate").rows()
    assert [(a.split()[1], b.split()[1]) for a, b in pairs] == [
        ("b/y", "b/y"), ("lmstudio/m", "lmstudio/m"),
    ]  # fmt: skip


def test_errors_are_exceptions_with_a_message_of_one_line() -> None:
    with pytest.raises(UsageError, match=r"^runs: 0 is not a whole number"):
        llmbench.run(runs=0)
    with pytest.raises(UsageError, match="the name must end in"):
        llmbench.run(provider="demo", out="r.txt")
    with pytest.raises(UsageError, match=r"none\.jsonl: cannot be read"):
        llmbench.grade(answers="none.jsonl")
    with pytest.raises(ResultFileError, match=r"none\.csv: cannot be read"):
        llmbench.load("none.csv")
    with pytest.raises(ResultFileError, match="nothing to compare"):
        llmbench.compare(two_rows().head(1))


def test_the_package_imports_no_slow_package_before_its_first_use() -> None:
    code = (
        "import sys, llmbench\n"
        "assert not {'polars', 'numpy', 'httpx', 'rich'} & set(sys.modules)\n"
        "assert llmbench.load and 'polars' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = llmbench.nothing


@pytest.mark.anyio
async def test_ctrl_c_ends_a_run_whose_server_does_not_answer(tmp_path: Path) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        (port,) = {listener.extra(anyio.abc.SocketAttribute.local_port)}
        code = (
            "import llmbench.api, signal, threading, os\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell may ignore it
            "threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
            f"llmbench.run(base_url='http://127.0.0.1:{port}/v1', model='m')\n"
        )
        with anyio.fail_after(30):
            done = await anyio.run_process([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert b"KeyboardInterrupt" in done.stderr
