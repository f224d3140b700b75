"""Languages made ready on this machine, for sandboxes that use no image."""

import hashlib
import os
import shutil
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from llmbench.errors import NoSandboxError
from llmbench.runners import AUTHORING, CHECK, SETUP, Runner

INSTALL = "pip install 'llmbench[toolchains]'"
VERSION_FLAGS = ("--version", "version", "-version")
VERSION_SECONDS = 10.0
SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")


@dataclass(frozen=True, slots=True)
class Toolchain:
    """One language, ready: its programs, its runner's folder, and what `setup.sh` made."""

    programs: tuple[Path, ...]
    runner: Path
    support: Path

    @property
    def search_path(self) -> str:
        """PATH of the tests: the language's programs before those of the system."""
        own = dict.fromkeys(str(program.parent) for program in self.programs)
        return os.pathsep.join([*own, *(d for d in SYSTEM_PATH if d not in own)])


async def set_up(
    runners: Mapping[str, Runner], notify: Callable[[str], None]
) -> dict[str, Toolchain]:
    """Find and check each language's programs; run `setup.sh` once per state of its folder.

    What `setup.sh` makes is kept in the user's cache folder. A folder there is always complete:
    it is made under another name, and the first of two processes to finish gives it its own.

    Raises:
        NoSandboxError: a program is missing or a set-up failed; says what to do.
    """
    wanted = {lang: programs(runner) for lang, runner in runners.items()}
    missing = [
        f"{name} (for {runners[lang].config.title})"
        for lang, found in wanted.items()
        for name, path in found.items()
        if path is None
    ]
    if missing:
        raise NoSandboxError(f"not found: {', '.join(missing)}; install with: {INSTALL}")
    ready = {}
    for lang, runner in runners.items():
        paths = tuple(path for path in wanted[lang].values() if path is not None)
        folder = cache() / f"{lang}-{digest(runner.folder, paths)}"
        toolchain = Toolchain(paths, folder / "runner", folder / "support")
        await check(runner, toolchain.search_path)
        if folder.is_dir():
            with suppress(OSError):
                os.utime(folder)  # so that it is known to be in use
        else:
            notify(f"setting up {runner.config.title}, once, in {folder}")
            await _make(runner, toolchain, folder)
        ready[lang] = toolchain
    return ready


def programs(runner: Runner) -> dict[str, Path | None]:
    """The programs that a language needs, each with its path or None."""
    return {name: _find(name, wheel) for name, wheel in runner.config.toolchain.items()}


async def version(program: Path, search: str) -> str:
    """The first line that a program says of its version; its name where it says none."""
    for flag in VERSION_FLAGS:
        with anyio.move_on_after(VERSION_SECONDS), suppress(OSError):
            done = await anyio.run_process(
                [str(program), flag],
                env={**os.environ, "PATH": search},
                stdin=subprocess.DEVNULL,
                check=False,
            )
            said = done.stdout.decode("utf-8", "replace").strip()
            if done.returncode == 0 and said:
                return said.splitlines()[0]
    return program.name


def _find(name: str, in_wheel: str | None) -> Path | None:
    """Where a program is: in a wheel, beside the interpreter, or on PATH."""
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *_user_libraries()}
    for library in sorted(libraries) if in_wheel else ():
        place = Path(library, in_wheel or "")
        for candidate in (place, place / name):
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return candidate
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=path)
    return Path(found).absolute() if found else None


def _user_libraries() -> Iterable[str]:
    return (site.getusersitepackages(),) if site.ENABLE_USER_SITE else ()


def cache() -> Path:
    """The folder of all set-ups."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "llmbench", "toolchains")


def digest(folder: Path, programs: Iterable[Path]) -> str:
    """A name for the state of a runner's folder, and of the programs that set it up."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and AUTHORING not in path.relative_to(folder).parts:
            state.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            state.update(path.read_bytes())
    for program in programs:
        real = program.resolve()
        state.update(f"{program}\0{real}\0{real.stat().st_mtime_ns}\0".encode())
    return state.hexdigest()[:16]


async def _make(runner: Runner, toolchain: Toolchain, folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise NoSandboxError(f"{folder}: cannot be made: {error}; set XDG_CACHE_HOME") from None
    try:
        source, support = fresh / toolchain.runner.name, fresh / toolchain.support.name
        shutil.copytree(runner.folder, source, ignore=shutil.ignore_patterns(AUTHORING))
        support.mkdir()
        if (source / SETUP).exists():
            await _run_setup(runner, source / SETUP, support, toolchain.search_path)
        _rename(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _rename(fresh: Path, folder: Path) -> None:
    with suppress(OSError):  # another process was first, with the same content
        fresh.rename(folder)


async def check(runner: Runner, path: str) -> None:
    """Ask the language's own script: with a missing package every answer would fail its tests.

    Raises:
        NoSandboxError: something is missing or too old; says what to do.
    """
    if (runner.folder / CHECK).exists():
        code, words = await _shell(path, runner.folder / CHECK)
        if code:
            raise NoSandboxError(f"{runner.config.title}: {words}; install with: {INSTALL}")


async def _run_setup(runner: Runner, script: Path, support: Path, path: str) -> None:
    code, words = await _shell(path, script, support)
    if code:
        raise NoSandboxError(f"{runner.folder / SETUP} failed with exit {code}: {words}")


async def _shell(path: str, *command: Path) -> tuple[int, str]:
    """Exit code and last words of a shell script; when cancelled, all that it started is killed."""
    process = await anyio.open_process(
        ["sh", *map(str, command)],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    async with process:
        assert process.stdout
        try:
            said = b"".join([chunk async for chunk in process.stdout])
            code = await process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    words = " | ".join(said.decode("utf-8", "replace").split("\n")[-5:]).strip(" |")
    return code, words[-400:]
