"""Checks of bubblewrap, the toolchains of languages, and the cache of their setups."""

import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from llmbench.errors import NoSandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.diagnostics import Finding, State
from llmbench.sandboxes.local import toolchains
from llmbench.sandboxes.local.bubblewrap import BubblewrapSandbox
from llmbench.sandboxes.local.toolchains import INSTALL, SYSTEM_PATH

OWN_USERS = "each attempt has a user of its own"
ONE_USER = "attempts share one user (for one each: install uidmap, add ids to /etc/subuid)"

UNUSED_SECONDS = 86400.0
"""Age of the last use from which a setup of other runner folders is stale."""


async def findings(runners: Mapping[str, Runner], fix: bool) -> AsyncIterator[Finding]:
    """Check bubblewrap, each toolchain and the cache; `fix` removes stale setups."""
    yield await _bubblewrap()
    for runner in runners.values():
        yield await _toolchain(runner)
        for finding in _options(runner):
            yield finding
    yield _cache(runners, fix=fix)


async def _bubblewrap() -> Finding:
    part = "bubblewrap"
    try:
        sandbox = await BubblewrapSandbox.open({}, _ignore)
    except NoSandboxError as error:
        state = State.WRONG if shutil.which("bwrap") else State.MISSING
        return Finding(part, state, error.message, error.hint, required=True)
    separates_users = sandbox.separates_users
    await sandbox.aclose()
    version = await toolchains.version(Path(shutil.which("bwrap") or "bwrap"), os.defpath)
    users = OWN_USERS if separates_users else ONE_USER
    return Finding(part, State.OK, f"{version}, user namespaces work; {users}", required=True)


async def _toolchain(runner: Runner) -> Finding:
    part = f"{runner.lang} toolchain"
    programs = toolchains.find_programs(runner)
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        detail = f"no {', '.join(missing)}"
        return Finding(part, State.MISSING, detail, INSTALL, required=True)
    paths = [path for path in programs.values() if path is not None]
    search_path = os.pathsep.join([*(str(path.parent) for path in paths), *SYSTEM_PATH])
    try:
        await toolchains.check(runner, search_path)
    except NoSandboxError as error:
        return Finding(part, State.WRONG, error.message, error.hint, required=True)
    versions = [f"{await toolchains.version(path, search_path)} ({path})" for path in paths]
    return Finding(part, State.OK, ", ".join(versions), required=True)


def _options(runner: Runner) -> Iterator[Finding]:
    """Check the programs of each option; without them its problems get no score."""
    programs = toolchains.find_option_programs(runner)
    for name, option in runner.config.options.items():
        missing = [program for program in option.programs if programs[program] is None]
        values = " or ".join(f"`{name}: {v}`" for v in option.values if v != option.default)
        part = f"{runner.lang} {name}"
        if missing:
            detail = f"no {', '.join(missing)}: problems with {values} are not asked"
            fix = f"install {' and '.join(missing)}, or use Docker"
            yield Finding(part, State.MISSING, detail, fix)
        elif option.programs:
            paths = ", ".join(str(programs[program]) for program in option.programs)
            yield Finding(part, State.OK, f"problems with {values} are judged with {paths}")


def _cache(runners: Mapping[str, Runner], *, fix: bool) -> Finding:
    """Size of the setups of languages, and of the stale ones among them."""
    part, folder = "cache", toolchains.cache_dir()
    setups = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    stale = list(_stale(setups, runners))
    size = sum(map(_size, setups))
    detail = f"{len(setups)} setups, {_mb(size)}, in {folder}"
    if not stale:
        return Finding(part, State.OK, detail)
    stale_size = sum(map(_size, stale))
    if not fix:
        detail += f"; {len(stale)} of them stale, {_mb(stale_size)}"
        return Finding(part, State.WRONG, detail, "llmbench doctor --fix")
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    remaining = [path for path in stale if path.exists()]
    if remaining:
        detail = f"{len(remaining)} stale setups cannot be removed, for example {remaining[0]}"
        return Finding(part, State.WRONG, detail, f"remove {folder}")
    detail = f"removed {len(stale)} stale setups, {_mb(stale_size)}; "
    return Finding(part, State.OK, f"{detail}{_mb(size - stale_size)} remain in {folder}")


def _stale(setups: list[Path], runners: Mapping[str, Runner]) -> Iterator[Path]:
    """The setups of other runner folders that were not used lately."""
    current = set()
    for runner in runners.values():
        paths = toolchains.found_programs(runner)
        current.add(f"{runner.lang}-{toolchains.digest(runner.folder, paths)}")
    for path in setups:
        with suppress(OSError):
            unused = time.time() - path.stat().st_mtime
            if path.name not in current and unused > UNUSED_SECONDS:
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


def _ignore(_: str) -> None:
    """Drop a line: no language is set up here."""
