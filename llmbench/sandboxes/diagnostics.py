"""What of the sandboxes works on this machine, tried for real, and what to do about the rest."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from llmbench.errors import NoSandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.local import toolchains
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
from llmbench.sandboxes.local.toolchains import INSTALL, SYSTEM_PATH

UNUSED_SECONDS = 86400.0
"""A set-up that no run has used for so long, and that is not of these runner folders, is stale."""


class State(StrEnum):
    """What is said of a part: it works, it is not there, or it is there and does not work."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one part: `said` in a line for people, `todo` what to do next."""

    part: str
    state: State
    said: str
    todo: str = ""


async def bubblewrap() -> Finding:
    """Whether bwrap confines here, tried for real."""
    try:
        sandbox = await BubblewrapSandbox.open({}, _unheard)
    except NoSandboxError as error:
        state = State.WRONG if shutil.which("bwrap") else State.MISSING
        said, _, todo = str(error).rpartition(": ")
        return Finding("bubblewrap", state, said, todo)
    await sandbox.aclose()
    version = await toolchains.version(Path(shutil.which("bwrap") or "bwrap"), os.defpath)
    return Finding("bubblewrap", State.OK, f"{version}, user namespaces can be made")


def toolchain_part(lang: str) -> str:
    """What the finding about a language's toolchain is called."""
    return f"{lang} toolchain"


async def toolchain(runner: Runner) -> Finding:
    """Whether the programs of a language are there and in order, with their versions."""
    part = toolchain_part(runner.lang)
    found = toolchains.programs(runner)
    missing = [name for name, path in found.items() if path is None]
    if missing:
        return Finding(part, State.MISSING, f"no {', '.join(missing)}", INSTALL)
    paths = [path for path in found.values() if path is not None]
    search = os.pathsep.join([*(str(path.parent) for path in paths), *SYSTEM_PATH])
    try:
        await toolchains.check(runner, search)
    except NoSandboxError as error:
        said, _, todo = str(error).partition("; install with: ")
        return Finding(part, State.WRONG, said, todo)
    versions = [f"{await toolchains.version(path, search)} ({path})" for path in paths]
    return Finding(part, State.OK, ", ".join(versions))


def toolchain_cache(runners: Mapping[str, Runner], *, fix: bool) -> Finding:
    """How much the set-ups of languages take, and which of them are stale; `fix` removes these."""
    folder = toolchains.cache()
    there = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    stale = list(_stale(there, runners))
    size = sum(map(_size, there))
    said = f"{len(there)} set-ups, {_mb(size)}, in {folder}"
    if not stale:
        return Finding("cache", State.OK, said)
    free = sum(map(_size, stale))
    if not fix:
        said += f"; {len(stale)} of them stale, {_mb(free)}"
        return Finding("cache", State.WRONG, said, "llmbench doctor --fix")
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    left = [path for path in stale if path.exists()]
    if left:
        said = f"{len(left)} stale set-ups cannot be removed, for example {left[0]}"
        return Finding("cache", State.WRONG, said, f"remove {folder}")
    said = f"removed {len(stale)} stale set-ups, {_mb(free)}; {_mb(size - free)} left in {folder}"
    return Finding("cache", State.OK, said)


def _stale(there: list[Path], runners: Mapping[str, Runner]) -> Iterator[Path]:
    """Set-ups that are not of these runners, nor of others that ran of late."""
    present = set()
    for runner in runners.values():
        paths = [path for path in toolchains.programs(runner).values() if path is not None]
        present.add(f"{runner.lang}-{toolchains.digest(runner.folder, paths)}")
    for path in there:
        with suppress(OSError):
            unused = time.time() - path.stat().st_mtime
            if path.name not in present and unused > UNUSED_SECONDS:
                yield path


def _size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _unheard(_: str) -> None:
    """Nothing is chosen here that anybody must hear of."""
