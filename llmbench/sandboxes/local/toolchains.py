"""Setup of languages on this machine, for sandboxes that use no image."""

import hashlib
import logging
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from llmbench.errors import NoSandboxError
from llmbench.runners import AUTHORING, CHECK, SETUP, Runner
from llmbench.sandboxes.base import Unusable
from llmbench.sandboxes.commands import exclusive, run_visibly

logger = logging.getLogger(__name__)

INSTALL = "pip install 'llmbench[toolchains]'"
VERSION_FLAGS = ("--version", "version", "-version")
VERSION_SECONDS = 10.0
SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin")


MISSING = "missing"
"""Folder of a runner after setup.sh: a file for each option that does not work, with the reason."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A language that is set up: its programs, its runner's folder, and the output of setup.sh."""

    programs: tuple[Path, ...]
    runner: Path
    support: Path

    @property
    def search_path(self) -> str:
        """PATH of the tests: the programs of the language before those of the system."""
        own = dict.fromkeys(str(program.parent) for program in self.programs)
        return os.pathsep.join([*own, *(d for d in SYSTEM_PATH if d not in own)])


async def set_up(
    runners: Mapping[str, Runner], notify: Callable[[str], None]
) -> dict[str, Toolchain]:
    """Find and check each language's programs; run `setup.sh` once per state of its folder.

    The output of `setup.sh` is in the user's cache folder. A folder there is always complete: it
    is built under a temporary name. One process makes it, and `notify` says that others wait.

    Raises:
        NoSandboxError: a program is missing or a setup failed; says what to do.
    """
    programs = {lang: find_programs(runner) for lang, runner in runners.items()}
    missing = [
        f"{name} (for {runners[lang].config.title})"
        for lang, paths in programs.items()
        for name, path in paths.items()
        if path is None
    ]
    if missing:
        raise NoSandboxError(f"not found: {', '.join(missing)}", hint=INSTALL)
    ready = {}
    for lang, runner in runners.items():
        paths = found_programs(runner)
        folder = cache_dir() / f"{lang}-{digest(runner.folder, paths)}"
        toolchain = Toolchain(paths, folder / "runner", folder / "support")
        await check(runner, toolchain.search_path)
        if not _is_made(folder):
            await _make(runner, toolchain, folder, notify)
        with suppress(OSError):
            os.utime(folder)  # the time of its last use
        logger.debug("using the setup of %s in %s", lang, folder)
        ready[lang] = toolchain
    return ready


def find_programs(runner: Runner) -> dict[str, Path | None]:
    """Return the programs that a language needs, each with its path or None."""
    return {name: _find(name, wheel) for name, wheel in runner.config.toolchain.items()}


def found_programs(runner: Runner) -> tuple[Path, ...]:
    """Return the programs of a language that are here, those of its options included."""
    programs = {**find_programs(runner), **find_option_programs(runner)}
    return tuple(path for path in programs.values() if path is not None)


def find_option_programs(runner: Runner) -> dict[str, Path | None]:
    """Return the programs that the options of a language need, each with its path or None."""
    options = runner.config.options.values()
    return {name: _find(name, None) for option in options for name in option.programs}


def unusable_options(runners: Mapping[str, Runner], ready: Mapping[str, Toolchain]) -> Unusable:
    """Return the options that cannot be judged with these toolchains."""
    return {
        (lang, path.name): (path.read_text().strip(), f"install {programs}, or use Docker")
        for lang, toolchain in ready.items()
        for path in sorted((toolchain.runner / MISSING).glob("*"))
        for programs in [" and ".join(runners[lang].config.options[path.name].programs)]
    }


async def version(program: Path, search_path: str) -> str:
    """Return the first line that a program prints as its version, else its name."""
    for flag in VERSION_FLAGS:
        with anyio.move_on_after(VERSION_SECONDS), suppress(OSError):
            done = await anyio.run_process(
                [str(program), flag],
                env={**os.environ, "PATH": search_path},
                stdin=subprocess.DEVNULL,
                check=False,
            )
            output = done.stdout.decode("utf-8", "replace").strip()
            if done.returncode == 0 and output:
                return output.splitlines()[0]
    return program.name


def _find(name: str, in_wheel: str | None) -> Path | None:
    """The path of a program: in a wheel, beside the interpreter, or on PATH."""
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *_user_libraries()}
    for library in sorted(libraries) if in_wheel else ():
        base = Path(library, in_wheel or "")
        for candidate in (base, base / name):
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return candidate
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    program = shutil.which(name, path=path)
    return Path(program).absolute() if program else None


def _user_libraries() -> Iterable[str]:
    return (site.getusersitepackages(),) if site.ENABLE_USER_SITE else ()


def cache_dir() -> Path:
    """Return the folder of all setups."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "llmbench", "toolchains")


def digest(folder: Path, programs: Iterable[Path]) -> str:
    """Return a hash of a runner's folder and of the programs that set it up."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and AUTHORING not in path.relative_to(folder).parts:
            state.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
            state.update(path.read_bytes())
    for program in programs:
        real = program.resolve()
        state.update(f"{program}\0{real}\0{real.stat().st_mtime_ns}\0".encode())
    return state.hexdigest()[:16]


async def _make(
    runner: Runner, toolchain: Toolchain, folder: Path, notify: Callable[[str], None]
) -> None:
    """Make a setup, unless another process makes it, which is waited for."""
    title = f"setting up {runner.config.title}"
    began = time.monotonic()
    try:
        async with exclusive(folder.with_name(f".{folder.name}.lock"), title, notify):
            if _is_made(folder):
                return
            notify(f"{title}, once, in {folder}")
            with _fresh(folder) as fresh:
                await _fill(fresh, runner, toolchain, notify)
    except OSError as error:
        raise NoSandboxError(
            f"{folder}: cannot be made: {error}", hint="set XDG_CACHE_HOME"
        ) from None
    seconds = time.monotonic() - began
    notify(f"set up {runner.config.title} in {seconds:.1f} s")
    logger.info("set up %s in %s in %.1f s", runner.lang, folder, seconds)


def _is_made(folder: Path) -> bool:
    return folder.is_dir()


@contextmanager
def _fresh(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, which becomes `folder` if the block succeeds."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield fresh
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


async def _fill(
    fresh: Path, runner: Runner, toolchain: Toolchain, notify: Callable[[str], None]
) -> None:
    """Copy the runner's folder, and run its setup.sh.

    Raises:
        NoSandboxError: setup.sh failed, with the reason of the program that failed.
    """
    source, support = fresh / toolchain.runner.name, fresh / toolchain.support.name
    shutil.copytree(runner.folder, source, ignore=shutil.ignore_patterns(AUTHORING))
    support.mkdir()
    if not (source / SETUP).exists():
        return
    env = {**os.environ, "PATH": toolchain.search_path}
    command = ["sh", str(source / SETUP), str(support)]
    result = await run_visibly(command, f"setting up {runner.config.title}", notify, env)
    if result.code:
        where = f"{runner.folder / SETUP} failed after {result.seconds:.0f} s"
        raise NoSandboxError(f"{where} with exit {result.code}: {result.reason}")


async def check(runner: Runner, path: str) -> None:
    """Run the language's own check: with a missing package every answer would fail its tests.

    Raises:
        NoSandboxError: something is missing or too old; says what to do.
    """
    if (runner.folder / CHECK).exists():
        command = ["sh", str(runner.folder / CHECK)]
        env = {**os.environ, "PATH": path}
        title = f"checking {runner.config.title}"
        result = await run_visibly(command, title, lambda line: None, env)
        if result.code:
            raise NoSandboxError(f"{runner.config.title}: {result.reason}", hint=INSTALL)
