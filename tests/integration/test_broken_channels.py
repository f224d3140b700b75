"""No broken channel, wrong encoding or wrong environment ends a command without its one line."""

import json
import os
import pty
import signal
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import anyio
import polars as pl
import pytest
from helpers.cli import Ran, command, environment, interrupted, journaled_rows, run
from helpers.factories import row
from helpers.sandboxes import opened

from llmbench.plan import bundled_dir
from llmbench.runners import load_runners
from llmbench.store import tables

pytestmark = pytest.mark.anyio

HOSTILE = "b/\x1b[31mred\u202e"
DEMO = "run --provider demo --model demo-large --sandbox bubblewrap --only python-lru* --runs 1"
COMMANDS = {
    "help": "run --help",
    "wrong usage": "run --model m –×→",
    "compare": "compare 2026-01-01 2026-01-02",
    "show": "show 2026-01-01/r.csv add --target lmstudio/m",
    "history": "history .",
    "schema": "schema",
    "models": "models --base-url http://127.0.0.1:9/v1",
    "doctor": "doctor",
    "problems": "problems list --langs go",
    "problem": "problems show go-lru-cache --full",
    "no import": "problems import --format mbpp none.jsonl -o p.yaml",
    "new problem": "problems new --lang python x -o /dev/full",
    "no answers": "grade none.jsonl",
    "no sweep": "sweep none.yaml",
    "no report": "report none.csv",
    "completion": "completion bash",
}
REDIRECTIONS = {
    "a full disk for stdout": "> /dev/full",
    "a full disk for stderr": "2> /dev/full",
    "closed descriptors": "<&- >&- 2>&-",
    "no reader": "2>&1 | true",
}
ENCODINGS: Mapping[str, Mapping[str, str]] = {
    **{name: {"PYTHONIOENCODING": name} for name in ("cp932", "euc_jp", "latin-1", "ascii")},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
ENVIRONMENTS: Mapping[str, Mapping[str, str]] = {
    "addresses": {
        "DOCKER_HOST": "ssh://me@nowhere.invalid",
        "ALL_PROXY": "socks://x",
        "NO_PROXY": "[",
        "SSL_CERT_FILE": "/nowhere",
    },
    "certificates": {
        "DOCKER_HOST": "tcp://127.0.0.1:9",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/nowhere",
    },
    "folders and terminal": {
        **{"TMPDIR": "/nowhere", "HOME": "/nowhere", "XDG_RUNTIME_DIR": "–", "PATH": ""},
        **{"DOCKER_HOST": "", "COLUMNS": "0", "LINES": "x", "TERM": "–"},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two dated results, one of whose targets has a hostile name."""
    for day in ("2026-01-01", "2026-01-02"):
        (tmp_path / day).mkdir()
        rows = [row(), row(target=HOSTILE, outcome="failed", score=0.0, passed=False)]
        tables.write(tables.to_frame(rows), tmp_path / day / "r.csv")
    return tmp_path


async def through_shell(
    folder: Path, words: str, redirection: str = "", env: Mapping[str, str] | None = None
) -> Ran:
    """Run a command whose descriptors a shell redirects; the exit code is the command's."""
    line = f'set -o pipefail; "$0" -m llmbench {words} {redirection}'
    python = command()[0]
    done = await anyio.run_process(
        ["/bin/bash", "-c", line, python],
        cwd=folder,
        env={**environment(DOCKER_HOST="unix:///nowhere"), **(env or {})},
        check=False,
        stdin=subprocess.DEVNULL,
    )
    out, err = (data.decode("utf-8", "replace") for data in (done.stdout, done.stderr))
    for sign in ("Traceback", "please report", "Exception ignored", "Error:"):
        assert sign not in err, f"{words} {redirection}: {err}"
    assert "\x1b" not in out + err, words
    assert done.returncode in (0, 1, 2), f"{words} {redirection}: {done.returncode} {err}"
    return Ran(done.returncode, out, err)


async def walk(
    folder: Path, redirection: str, env: Mapping[str, str], names: Collection[str] = COMMANDS
) -> dict[str, Ran]:
    """Run these commands, two at a time."""
    limiter, ran = anyio.CapacityLimiter(2), {}

    async def run_one(name: str, words: str) -> None:
        async with limiter:
            ran[name] = await through_shell(folder, words, redirection, env)

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(run_one, name, COMMANDS[name])
    return ran


@pytest.mark.parametrize("broken", REDIRECTIONS)
async def test_every_command_bears_a_broken_channel(folder: Path, broken: str) -> None:
    ran = await walk(folder, REDIRECTIONS[broken], {})
    for name in ("help", "compare", "schema"):
        if broken == "a full disk for stdout":
            assert ran[name].code == 1
            assert ran[name].err == (
                "llmbench: the standard output cannot be written: No space left on device\n"
            )
        else:
            assert ran[name].code == 0, name


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_every_command_prints_in_any_encoding(folder: Path, encoding: str) -> None:
    printing = ("help", "compare", "history", "schema", "problems", "completion")
    names = COMMANDS if encoding in ("cp932", "ascii") else printing
    ran = await walk(folder, "", ENCODINGS[encoding], names)
    for name in printing:
        assert ran[name].code == 0, name
        assert len(ran[name].out.splitlines()) > 3, name


@pytest.mark.parametrize("wrong", ENVIRONMENTS)
async def test_every_command_bears_a_wrong_environment(folder: Path, wrong: str) -> None:
    ran = await walk(folder, "", ENVIRONMENTS[wrong])
    for name, line in ran.items():
        assert len(line.err.splitlines()) <= 2, f"{name}: {line.err}"
    for name in ("help", "compare", "schema"):
        assert ran[name].code == 0, name


@pytest.mark.bubblewrap
@pytest.mark.parametrize("broken", [*REDIRECTIONS, "cp932", "ascii"])
async def test_a_run_writes_its_rows_though_a_channel_breaks(folder: Path, broken: str) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    redirection, env = REDIRECTIONS.get(broken, ""), ENCODINGS.get(broken, {})
    ran = await through_shell(folder, f"{DEMO} --out rows.csv", redirection, env)
    assert ran.code == (1 if broken == "a full disk for stdout" else 0), ran.err
    assert pl.read_csv(folder / "rows.csv")["outcome"].to_list() == ["passed"]
    if broken in ENCODINGS:
        assert "leaderboard" in ran.out


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({"SSL_CERT_FILE": "/no/file"}, "SSL_CERT_FILE /no/file: cannot be read: No such file"),
        ({"SSL_CERT_FILE": "/dev/null"}, "SSL_CERT_FILE /dev/null: holds no certificate"),
        ({"SSL_CERT_DIR": "/no/dir"}, "SSL_CERT_DIR /no/dir: cannot be read: No such file"),
        ({"ALL_PROXY": "socks://h:1"}, "ALL_PROXY socks://h:1: not an HTTP proxy: set it to"),
        ({"https_proxy": "socks5://me:pw@h:1"}, "HTTPS_PROXY socks5://h:1: not an HTTP proxy"),
        ({"HTTPS_PROXY": "http://["}, "HTTPS_PROXY http://[: not an HTTP proxy"),
        ({"HTTPS_PROXY": "127.0.0.1:9"}, "cannot reach the proxy 127.0.0.1:9: check HTTPS_PROXY"),
        ({"ALL_PROXY": "http://p.invalid"}, "cannot reach the proxy p.invalid:80: check HTTPS"),
    ],
)
async def test_a_wrong_variable_is_named(tmp_path: Path, env: dict[str, str], line: str) -> None:
    address = "https://llm.invalid/v1" if "PROXY" in str(env).upper() else "https://127.0.0.1:9"
    words = ["models", "--provider", "openai-compatible", "--base-url", address]
    plain = {n: v for n, v in environment().items() if not n.upper().endswith("PROXY")}
    plain = {name: value for name, value in plain.items() if not name.startswith("SSL_CERT")}
    ran = await run(tmp_path, *words, env={**plain, **env})
    assert ran.code == (1 if "reach" in line else 2)
    assert ran.err.startswith(f"llmbench: {line}")
    assert len(ran.err.splitlines()) == 1
    assert "pw" not in ran.err


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({"DOCKER_HOST": "ssh://me@h"}, "ssh://me@h (DOCKER_HOST): llmbench opens no SSH"),
        ({"DOCKER_HOST": "npipe:////./p"}, "npipe:////./p (DOCKER_HOST): a named pipe"),
        ({"DOCKER_HOST": "unix://"}, "unix:// (DOCKER_HOST): not an address of an engine"),
        (
            {"DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/no"},
            "https://h:1 (DOCKER_HOST): no usable certificates in /no",
        ),
        ({"DOCKER_HOST": "tcp://127.0.0.1:99999"}, "tcp://127.0.0.1:99999 (DOCKER_HOST): not an"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:9"}, "no Docker engine answers at http://127.0.0.1:9"),
    ],
)
async def test_a_wrong_engine_is_named(tmp_path: Path, env: dict[str, str], line: str) -> None:
    words = DEMO.replace("bubblewrap", "docker").split()
    ran = await run(tmp_path, *words, env=environment(**env))
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(f"llmbench: {line}")
    assert len(ran.err.splitlines()) == 1


LONG = (
    "--provider demo --langs python --runs 5 --concurrency 1 --sandbox bubblewrap -o r.csv".split()
)


@pytest.fixture
def hangup_heeded() -> Iterator[None]:
    """Let processes heed a hangup, also where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.bubblewrap
@pytest.mark.usefixtures("hangup_heeded")
async def test_a_hangup_is_one_ctrl_c_however_often_it_comes(tmp_path: Path) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    ran = await interrupted(tmp_path, *LONG, rows=2, signals=[signal.SIGHUP, signal.SIGHUP])
    assert ran.code == 130
    rows = pl.read_csv(tmp_path / "r.csv")
    assert 2 <= len(rows) == journaled_rows(tmp_path)
    assert rows["score"].null_count() == 0
    assert "attempts have no row: the run was interrupted" in ran.err


@pytest.mark.bubblewrap
@pytest.mark.usefixtures("hangup_heeded")
async def test_a_terminal_that_is_closed_leaves_the_table(tmp_path: Path) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    async with await anyio.open_process(
        ["setsid", "--ctty", "--wait", *command(*LONG)],
        cwd=tmp_path, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        with anyio.fail_after(120):
            while journaled_rows(tmp_path) < 2:
                await anyio.sleep(0.05)
                with suppress(BlockingIOError):  # an unread terminal would stop its writer
                    os.read(ours, 65536)
            os.close(ours)
            await process.wait()
    assert 2 <= len(pl.read_csv(tmp_path / "r.csv")) == journaled_rows(tmp_path)
    (record,) = tmp_path.glob("_work/*/run.json")
    assert json.loads(record.read_text())["sessions"][-1]["end"] is not None
