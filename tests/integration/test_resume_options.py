"""`--resume` continues a run under its options, or is refused in one line."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import anyio
import polars as pl
import pytest
from helpers.cli import Ran, command, environment, journaled_rows, run, serving
from helpers.sandboxes import opened

from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

pytestmark = [pytest.mark.anyio, pytest.mark.bubblewrap]

FLAGS = ["--only", "python-lru*", "--runs", "2", "--sandbox", "bubblewrap", "--out", "r.parquet"]


@pytest.fixture(autouse=True)
async def _toolchain() -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass


@pytest.fixture
def problem_file(tmp_path: Path) -> Path:
    """A copy of the bundled Python problems, for tests that change it."""
    return Path(shutil.copy(bundled_dir("problems") / "python.yaml", tmp_path / "p.yaml"))


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a long run, and kill it at the end."""
    flags = ["--provider", "demo", "--model", "demo-large", "--only", "python-lru*"]
    argv = command(*flags, "--runs", "500", "--quiet", "--sandbox", "bubblewrap")
    with subprocess.Popen(argv, cwd=folder, env=environment(), stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def refusal(ran: Ran) -> str:
    """Return the only line of a run that did nothing."""
    assert ran.code == 2
    (line,) = ran.err.splitlines()
    return line.removeprefix("llmbench: ")


async def test_a_resumed_run_that_asks_nothing_needs_no_server(
    tmp_path: Path, problem_file: Path
) -> None:
    async with serving(tmp_path, "right") as server:
        first = await run(tmp_path, "--base-url", server.base_url, *FLAGS, "--problems", "p.yaml")
        assert first.code == 0, first.err
    complete = await run(tmp_path, "--resume")
    assert complete.code == 0, complete.err
    assert "is complete: nothing remains to be done" in complete.err
    text = problem_file.read_text()
    problem_file.write_text(
        text.replace("test_solution.py: |\n", "test_solution.py: |\n      # x\n")
    )
    graded = await run(tmp_path, "--resume", "--quiet")
    assert graded.code == 0, graded.err
    assert graded.err == (
        "llmbench: problem python-lru-ttl-cache has changed: 2 attempts are graded again\n"
    )
    more = await run(tmp_path, "--resume", "--runs", "3")
    assert more.code == 1
    assert f"cannot reach {server.base_url}" in more.err
    assert pl.read_parquet(tmp_path / "r.parquet")["outcome"].to_list() == ["passed"] * 2


async def test_a_resumed_run_names_each_change_and_the_attempts_it_repeats(tmp_path: Path) -> None:
    async with serving(tmp_path, "right", "other") as server:
        there = ["--base-url", server.base_url, "--no-warm-up"]
        first = await run(tmp_path, *there, *FLAGS, "--model", "right")
        assert first.code == 0, first.err

        async def warnings(*flags: str) -> list[str]:
            ran = await run(tmp_path, "--resume", "--quiet", *flags)
            assert ran.code == 0, ran.err
            return ran.err.splitlines()

        right = "llmbench: lmstudio/right"
        assert await warnings("--temperature", "0.5", "--max-tokens", "999") == [
            f"{right}: max_tokens was 4096, is 999; temperature was None, is 0.5: "
            "2 attempts are asked again"
        ]
        assert await warnings("--test-timeout", "30") == [
            f"{right}: --test-timeout was 45, is 30: 2 attempts are graded again"
        ]
        assert await warnings("--test-timeout", "30") == []
        assert server.requests.total() == 4
        assert await warnings("--runs", "1") == [
            "llmbench: 1 attempt is not in the plan any more, and not in the tables"
        ]
        assert len(pl.read_parquet(tmp_path / "r.parquet")) == 1
        assert await warnings("--runs", "2") == []
        assert await warnings("--model", "other") == [
            "llmbench: 2 attempts are not in the plan any more, and not in the tables"
        ]
        assert server.requests.total() == 6
        assert await warnings("--model", "right", "--model", "other") == []
        assert server.requests.total() == 6
    assert (
        pl.read_parquet(tmp_path / "r.parquet")["model"].to_list() == ["other"] * 2 + ["right"] * 2
    )


async def test_a_changed_prompt_template_is_named(tmp_path: Path) -> None:
    code = (
        "import llmbench.prompts as p; p.SYSTEM = 'Be brief.'; import llmbench.cli as c; c.main()"
    )
    async with serving(tmp_path, "right") as server:
        first = await run(tmp_path, "--base-url", server.base_url, *FLAGS)
        assert first.code == 0, first.err
        argv = [sys.executable, "-c", code, "--resume", "--quiet"]
        ran = await anyio.run_process(argv, cwd=tmp_path, env=environment(), check=False)
        assert ran.stderr.decode() == (
            "llmbench: lmstudio/right: the prompt template of python has changed: "
            "2 attempts are asked again\n"
        )


async def test_a_run_that_another_process_writes_is_not_resumed(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        await until(lambda: journaled_rows(tmp_path) > 0)
        line = refusal(await run(tmp_path, "--resume", "--quiet"))
        (work,) = tmp_path.glob("_work/*")
        holder = f"process {first.pid} is writing this run"
        assert line == f"_work/{work.name}: {holder}: wait for it, or end it"
        first.send_signal(signal.SIGSTOP)  # a stopped process still holds the lock
        assert refusal(await run(tmp_path, "--resume", "--quiet")) == line
    again = await run(tmp_path, "--resume", "--runs", "1", "--quiet")
    assert again.code == 0, again.err


async def test_a_run_writes_its_rows_however_often_ctrl_c_comes(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        await until(lambda: journaled_rows(tmp_path) > 0)
        while first.poll() is None:
            first.send_signal(signal.SIGINT)
            await anyio.sleep(0.02)
        assert first.stderr is not None
        err = first.stderr.read().decode()
        assert first.returncode == 130, err
    assert "attempts have no row: the run was interrupted" in err
    (table,) = tmp_path.glob("_work/*/results.csv")
    assert len(pl.read_csv(table)) == journaled_rows(tmp_path)


class Busy(BaseHTTPRequestHandler):
    """Lists a model, and refuses each request for 100 seconds."""

    def do_GET(self) -> None:
        self.answer(200, b'{"data": [{"id": "m"}]}')

    def do_POST(self) -> None:
        self.answer(429, b'{"error": {"message": "slow down"}}')

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "100")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


async def test_ctrl_c_does_not_wait_for_a_retry(tmp_path: Path) -> None:
    flags = ["--provider", "vllm", "--model", "m", "--no-warm-up", "--sandbox", "bubblewrap"]
    flags += ["--only", "python-lru*", "--runs", "1"]
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}/v1"
        code, err, seconds = interrupted_while_waiting(tmp_path, *flags, "--base-url", address)
        server.shutdown()
    assert code == 130, err
    assert seconds < 60  # the wait is longer
    assert "nothing new is started, and nothing is under way" in err
    assert "1 of 1 attempts have no row: the run was interrupted" in err


def interrupted_while_waiting(folder: Path, *flags: str) -> tuple[int, str, float]:
    """Send Ctrl-C once a run reports its wait; returns exit code, stderr and seconds to the end."""
    argv, pipe = command(*flags), subprocess.PIPE
    with subprocess.Popen(argv, cwd=folder, env=environment(), stderr=pipe, text=True) as process:
        assert process.stderr is not None
        err = next(line for line in process.stderr if "the server asked for 100 s" in line)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        err += process.stderr.read()
    return process.returncode, err, time.monotonic() - began


async def test_a_run_whose_folder_is_removed_ends_with_an_error(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        await until(lambda: journaled_rows(tmp_path) > 0)
        (work,) = tmp_path.glob("_work/*")
        work.rename(tmp_path / "removed")
        shutil.rmtree(tmp_path / "removed")
        await until(lambda: first.poll() is not None)
        assert first.stderr is not None
        assert first.returncode == 1
        assert "journal.jsonl: was removed" in first.stderr.read().decode()


Spoil = Callable[[Path], object]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda work: (work / "journal.jsonl").unlink(),
            "journal.jsonl is gone, and with it every",
        ),
        (lambda work: (work / "run.json").unlink(), "run.json: cannot be read: No such file"),
        (lambda work: (work / "run.json").write_text("{"), "run.json: not JSON"),
        (lambda work: (work / "run.json").write_text("{}"), "run.json: plan: Field required"),
        (lambda work: edit(work, options={"foo": 1}), "run.json: foo: no such option"),
        (lambda work: edit(work, options={"runs": "x"}), "run.json: runs: 'x' is not"),
        (lambda work: edit(work, commands=[["--foo"]]), "run.json: unrecognized arguments: --foo"),
        (
            lambda work: edit(work, commands=[["--runs", "x"]]),
            "run.json: argument --runs: 'x' is not",
        ),
        (shutil.rmtree, "no such run"),
    ],
    ids=[
        "no journal",
        "no record",
        "no JSON",
        "no fields",
        "unknown option",
        "wrong option",
        "unknown flag of version 0.1",
        "wrong flag of version 0.1",
        "no folder",
    ],
)
async def test_a_run_with_a_damaged_folder_is_refused_in_one_line(
    tmp_path: Path, finished: Path, spoil: Spoil, words: str
) -> None:
    shutil.copytree(finished, tmp_path / "_work" / "a-run")
    spoil(tmp_path / "_work" / "a-run")
    line = refusal(await run(tmp_path, "--resume", "a-run"))
    assert words in line
    assert line.endswith("start a new run") or "no such run" in line


async def test_damaged_lines_are_named_and_only_their_attempts_are_repeated(
    tmp_path: Path, finished: Path
) -> None:
    work = tmp_path / "_work" / "a-run"
    shutil.copytree(finished, work)
    lines = (work / "journal.jsonl").read_bytes().splitlines(keepends=True)
    entries = [json.loads(line) for line in lines]
    rows = [number for number, entry in enumerate(entries) if "row" in entry]
    first, second = rows[:2]
    lost = entries[second]["row"]["target"]
    (answer,) = [n for n, entry in enumerate(entries) if entry.get("key", [None])[0] == lost]
    lines[first] = lines[first][:50] + b"\n"  # torn in the middle of the journal
    lines[second] = bytes(len(lines[second]) - 1) + b"\n"  # as a power loss leaves it
    lines[answer] = lines[answer].replace(b'"completion"', b'"\xff"')
    (work / "journal.jsonl").write_bytes(b"".join(lines))
    ran = await run(tmp_path, "--resume", "a-run")
    assert ran.code == 0, ran.err
    for number in (first, second, answer):
        warning = f"llmbench: _work/a-run/journal.jsonl:{number + 1}: damaged line, skipped"
        assert ran.err.count(warning) == 1
    assert "1 attempt is done, 1 answer is graded without asking again, 1 is asked" in ran.err
    table = pl.read_csv(work / "results.csv")
    assert sorted(table["model"]) == ["demo-large", "demo-medium", "demo-small"]


async def test_answers_without_a_row_are_graded_or_the_change_is_named(
    tmp_path: Path, finished: Path
) -> None:
    work = tmp_path / "_work" / "a-run"
    shutil.copytree(finished, work)
    lines = (work / "journal.jsonl").read_bytes().splitlines(keepends=True)
    answers = [line for line in lines if b'"completion"' in line]
    (work / "journal.jsonl").write_bytes(b"".join(answers))
    changed = await run(
        tmp_path, "--resume", "--quiet", "--model", "demo-large", "--max-tokens", "999"
    )
    assert changed.err.splitlines() == [
        "llmbench: demo/demo-large: max_tokens was 4096, is 999: 1 attempt is asked again",
        "llmbench: 2 attempts are not in the plan any more, and not in the tables",
    ]
    (work / "journal.jsonl").write_bytes(b"".join(answers))
    graded = await run(tmp_path, "--resume", "--max-tokens", "4096")
    assert "0 attempts are done, 1 answer is graded without asking again, 0 are asked" in graded.err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that is complete."""
    folder = tmp_path_factory.mktemp("finished")
    argv = command("--provider", "demo", "--only", "python-lru*", "--runs", "1", "--quiet")
    subprocess.run([*argv, "--sandbox", "bubblewrap"], cwd=folder, env=environment(), check=True)
    (work,) = folder.glob("_work/*")
    return work


def edit(work: Path, **fields: object) -> None:
    """Change fields in the record of a run."""
    path = work / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until another process has made a condition true."""
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.02)
