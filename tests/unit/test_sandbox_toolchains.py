"""Setup of languages on this machine: checked, set up once, refused in one line."""

import logging
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
import yaml

from llmbench.errors import NoSandboxError
from llmbench.plan import bundled_dir
from llmbench.runners import Runner, load_runners
from llmbench.sandboxes.local.bubblewrap import work_folder
from llmbench.sandboxes.local.toolchains import find_programs, set_up, unusable_options

pytestmark = pytest.mark.anyio

WriteRunner = Callable[..., dict[str, Runner]]


@pytest.fixture
def write_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteRunner:
    """A function that writes a runner folder with these scripts, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(program: str = "sh", options: object = None, **scripts: str) -> dict[str, Runner]:
        folder = tmp_path / "runners" / "tongue"
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "title": "Tongue",
            "fences": ["tongue"],
            "solution": "s",
            "image": "i",
            "report": "junit",
            "toolchain": {program: None},
            "options": options or {},
        }
        (folder / "runner.yaml").write_text(yaml.safe_dump(config))
        for name, text in {"run": "exit 0", **scripts}.items():
            (folder / f"{name}.sh").write_text(text)
        return load_runners(folder.parent)

    return write


async def test_setup_runs_once_for_each_state_of_the_folder(write_runner: WriteRunner) -> None:
    notes: list[str] = []
    for _ in range(2):
        ready = await set_up(write_runner(setup='echo made >"$1/here"'), notes.append)
    assert (ready["tongue"].support / "here").read_text() == "made\n"
    await set_up(write_runner(setup='echo again >"$1/here"'), notes.append)
    beginnings = [note for note in notes if note.startswith("setting up Tongue, once, in ")]
    assert len(beginnings) == 2
    assert re.fullmatch(r"set up Tongue in \d+\.\d s", notes[1])


async def test_setups_are_logged_with_their_seconds(
    write_runner: WriteRunner, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="llmbench.sandboxes"):
        await set_up(write_runner(setup="exit 0"), print)
    (message,) = caplog.messages
    assert re.fullmatch(r"set up tongue in .* in \d+\.\d s", message)


async def test_a_missing_program_is_reported_with_the_package_to_install(
    write_runner: WriteRunner,
) -> None:
    with pytest.raises(
        NoSandboxError, match=r"not found: no-such-program \(for Tongue\): pip install"
    ):
        await set_up(write_runner("no-such-program"), print)


async def test_the_output_of_a_failed_check_is_reported_each_time(
    write_runner: WriteRunner,
) -> None:
    for _ in range(2):
        with pytest.raises(NoSandboxError, match="Tongue: version 2 is needed: pip install"):
            await set_up(write_runner(check="echo version 2 is needed; exit 1"), print)


async def test_a_failed_setup_reports_its_last_lines_and_leaves_nothing(
    write_runner: WriteRunner, tmp_path: Path
) -> None:
    with pytest.raises(NoSandboxError, match=r"setup\.sh failed after 0 s with exit 3: no network"):
        await set_up(write_runner(setup="echo no network; exit 3"), print)
    assert list((tmp_path / "cache").rglob("*tongue*")) == []


async def test_a_setup_that_another_process_makes_is_waited_for_and_used(
    write_runner: WriteRunner,
) -> None:
    runners, notes = write_runner(setup='sleep 0.5; echo made >>"$1/here"'), list[str]()
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(set_up, runners, notes.append)
    assert sum(note.startswith("setting up Tongue, once") for note in notes) == 1
    assert sum("waiting for process" in note for note in notes) == 2
    ready = await set_up(runners, notes.append)
    assert (ready["tongue"].support / "here").read_text() == "made\n"


async def test_a_registry_that_does_not_answer_is_reported_within_a_minute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runners = {"typescript": load_runners(bundled_dir("runners"))["typescript"]}
    if None in find_programs(runners["typescript"]).values():
        pytest.skip("needs node")
    with socket.create_server(("127.0.0.1", 0)) as silent, anyio.fail_after(60):
        port = silent.getsockname()[1]
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{port}/")
        with pytest.raises(NoSandboxError, match=f"timeout at: http://127.0.0.1:{port}") as caught:
            await set_up(runners, print)
    assert "\n" not in str(caught.value)


async def test_an_option_that_does_not_work_here_says_why(
    write_runner: WriteRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = {"values": ["off", "on"], "default": "off", "programs": ["compile-it"]}
    script = (
        'cd "$(dirname "$0")"; command -v compile-it || '
        "{ mkdir missing && echo no compiler >missing/race; }"
    )
    runners = write_runner(setup=script, options={"race": option})
    ready = await set_up(runners, print)
    reason = ("no compiler", "install compile-it, or use Docker")
    assert unusable_options(runners, ready) == {("tongue", "race"): reason}
    # Once the program is there, the language is set up again.
    program = tmp_path / "bin" / "compile-it"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    ready = await set_up(runners, print)
    assert unusable_options(runners, ready) == {}
    assert program in ready["tongue"].programs


async def test_missing_packages_refuse_the_language(
    write_runner: WriteRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bin" / "python"
    bare.parent.mkdir()
    bare.write_text('#!/bin/sh\nexec /usr/bin/env python3 -S -I "$@"\n')
    bare.chmod(0o755)
    python = load_runners(bundled_dir("runners"))["python"]
    monkeypatch.setattr("llmbench.sandboxes.local.toolchains._find", lambda *_: bare)
    with pytest.raises(NoSandboxError, match="Python packages are missing: pytest"):
        await set_up({"python": python}, print)


def test_no_program_of_the_machine_lies_among_the_files_of_tests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for prefix, work in ("/opt/project/.venv", "/work"), ("/work/project/.venv", "/work-2"):
        monkeypatch.setattr(sys, "prefix", prefix)
        monkeypatch.setattr(sys, "base_prefix", prefix)
        assert work_folder(None) == work
