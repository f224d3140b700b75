"""Setup of languages on this machine: checked, set up once, refused in one line."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from llmbench.errors import NoSandboxError
from llmbench.plan import bundled_dir
from llmbench.runners import Runner, load_runners
from llmbench.sandboxes.local.toolchains import set_up

pytestmark = pytest.mark.anyio

WriteRunner = Callable[..., dict[str, Runner]]


@pytest.fixture
def write_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteRunner:
    """A function that writes a runner folder with these scripts, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(program: str = "sh", **scripts: str) -> dict[str, Runner]:
        folder = tmp_path / "runners" / "tongue"
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "title": "Tongue",
            "fences": ["tongue"],
            "solution": "s",
            "image": "i",
            "report": "junit",
            "toolchain": {program: None},
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
    assert len(notes) == 2


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
    with pytest.raises(NoSandboxError, match="failed with exit 3: no network"):
        await set_up(write_runner(setup="echo no network; exit 3"), print)
    assert list((tmp_path / "cache").rglob("*tongue*")) == []


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
