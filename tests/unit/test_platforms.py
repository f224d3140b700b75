"""Systems without what llmbench needs are refused in one line that says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from llmbench.errors import NoSandboxError
from llmbench.sandboxes.local import process
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
from llmbench.sandboxes.local.process import ProcessSandbox


@pytest.mark.parametrize("flags", [[], ["--help"], ["doctor"]])
def test_native_windows_is_one_line_before_anything_else_is_imported(flags: list[str]) -> None:
    code = (
        "import os, sys, atexit\n"
        "os.name = 'nt'\n"
        "from llmbench.__main__ import main\n"
        f"sys.argv[1:] = {flags}\n"
        "code = main()\n"
        "ours = sorted(m for m in sys.modules if m.split('.')[0] in ('llmbench', 'anyio'))\n"
        "print(code, *ours)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.split() == ["2", "llmbench", "llmbench.__main__", "llmbench._version"]
    (line,) = ran.stderr.splitlines()
    assert "WSL2" in line


@pytest.mark.anyio
async def test_bubblewrap_is_refused_on_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NoSandboxError, match="bubblewrap works on Linux only: use Docker"):
        await BubblewrapSandbox.open({}, print)


@pytest.mark.anyio
async def test_plain_processes_are_refused_without_proc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "UPTIME", str(tmp_path / "none"))
    with pytest.raises(NoSandboxError, match=r"this system has no .*none: use Docker"):
        await ProcessSandbox.open({}, print)
