"""The sandbox of bubblewrap: a local process in namespaces of its own, without an engine."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from itertools import chain, count
from pathlib import Path
from typing import Self

import anyio

import llmbench
from llmbench.errors import NoSandboxError, SandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.launch import HOME, WORK, Launch
from llmbench.sandboxes.local import seccomp
from llmbench.sandboxes.local.cgroups import Groups
from llmbench.sandboxes.local.process import SHELL, ProcessSandbox, Start
from llmbench.sandboxes.local.toolchains import Toolchain, version
from llmbench.sandboxes.local.users import INSIDE, Entry, Users

logger = logging.getLogger(__name__)

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
)
"""Paths of the machine that the code sees, read-only, beside the programs of its language."""

CHILDREN = "/proc/thread-self/children"
"""Without this file the memory of the tests cannot be counted."""

NO_CGROUPS = (
    "this user may not make cgroups, so memory and processes of tests are only sampled: "
    "for strict limits start with systemd-run --user --scope"
)

# Arguments: the filter of system calls, the launcher's shell, files that move this process into its
# group, --, bwrap.
ENTER = """
filter=$1
shell=$2
shift 2
while [ "$1" != -- ]; do
    echo 0 >"$1" || exit 125
    shift
done
shift
exec "$@" 8<"$shell" 9<"$filter"
"""
SHELL_DATA, FILTER = "8", "9"
"""The descriptors of the shell and of the filter in ENTER."""

# The shell at SHELL may be executed and not read. The kernel then lets no process of the same user,
# such as the tests, read its memory, its descriptors or its environment, or trace it (ptrace(2)).

SUPPORT = "/opt/support"
SCRATCH = "/tmp"
AS_USER = ("setpriv", "--reuid", str(INSIDE), "--regid", str(INSIDE), "--clear-groups")
READABLE = """for path; do [ -r "$path" ] || { echo "cannot read $path" >&2; exit 1; }; done"""

# The launcher is process 1: when it ends, the kernel kills all others, and bwrap ends last. So the
# processor time of bwrap includes them all, and no process remains after it.
NAMESPACES = ("--unshare-all", "--unshare-user", "--as-pid-1", "--die-with-parent", "--new-session")


class BubblewrapSandbox(ProcessSandbox):
    """A sandbox that runs each submission under bwrap, without network or a writable root."""

    name = "bubblewrap"

    def __init__(self, runners: Mapping[str, Runner], toolchains: Mapping[str, Toolchain]) -> None:
        """Serve the languages of these runners, which `toolchains` has set up.

        Raises:
            NoSandboxError: libseccomp is not installed.
        """
        super().__init__(runners, toolchains)
        self._filter = seccomp.program()
        self._groups: Groups | None = None
        with suppress(OSError):
            self._groups = Groups()
        self._users: Users | None = None

    @classmethod
    async def open(cls, runners: Mapping[str, Runner], notify: Callable[[str], None]) -> Self:
        """Try bwrap, and set up the languages.

        Raises:
            NoSandboxError: bwrap is missing or may not make namespaces here, or a language
                cannot be set up; says what to do.
        """
        if sys.platform != "linux":
            raise NoSandboxError("bubblewrap works on Linux only", hint="use Docker")
        if shutil.which("bwrap") is None:
            raise NoSandboxError("bwrap is not installed", hint="install the package bubblewrap")
        if reason := await _try(["true"], None):
            raise NoSandboxError(
                f"bwrap cannot confine here ({reason})",
                hint="allow unprivileged user namespaces, or use Docker",
            )
        sandbox = await super().open(runners, notify)
        if sandbox._groups is None:
            if not os.access(CHILDREN, os.R_OK):
                raise NoSandboxError(f"this kernel has no {CHILDREN}", hint="use Docker")
            notify(NO_CGROUPS)
        sandbox._users = await sandbox._usable(Users.find(), notify)
        logger.info("bubblewrap works, limits %s", "by cgroups" if sandbox._groups else "sampled")
        return sandbox

    @property
    def separates_users(self) -> bool:
        """True if each attempt has a user of its own."""
        return self._users is not None

    async def _usable(self, users: Users | None, notify: Callable[[str], None]) -> Users | None:
        """Return these users if bwrap can separate them and they can read what tests need."""
        for toolchain in self.toolchains.values() if users else ():
            needed = [f"{HOME}/run.sh", SUPPORT, *map(str, toolchain.programs)]
            with ExitStack() as stack:
                assert users
                entry = users.entry(stack)
                command = [*AS_USER, "sh", "-c", READABLE, "sh", *needed]
                if reason := await _try(command, entry, toolchain):
                    notify(f"attempts share one user under bubblewrap: {reason}")
                    return None
        return users

    async def versions(self) -> dict[str, str]:
        """Return the versions of bwrap and of the programs of each language."""
        bwrap = await version(Path(shutil.which("bwrap") or "bwrap"), os.defpath)
        return {"bubblewrap": bwrap} | await super().versions()

    async def aclose(self) -> None:
        """Remove the cgroups; nothing else outlives a run."""
        os.close(self._filter)
        if self._groups:
            await self._groups.aclose()

    def start(self, launch: Launch, archive: bytes, stack: ExitStack) -> Start:
        """Return the start of the launcher; all it writes is in memory, and gone with it."""
        lang = launch.submission.lang
        toolchain, limits = self.toolchains[lang], self.limits(launch)
        bwrap = shutil.which("bwrap") or "bwrap"
        procs_files, group = [], None
        if self._groups is not None:
            group = self._groups.create(limits)
            stack.callback(self._groups.remove, group)
            procs_files = group.procs_files
        entry = self._users.entry(stack) if self._users else None
        inside = launch.argv(archive, uid=INSIDE if entry else None)
        work = work_folder(toolchain)
        argv = [
            *(
                "sh",
                "-c",
                ENTER,
                "sh",
                f"/proc/{os.getpid()}/fd/{self._filter}",
                shutil.which("sh") or "/bin/sh",
                *procs_files,
                "--",
            ),
            *(bwrap, *_confinement(limits.work_mb, entry, work), *_views(toolchain)),
            *("--seccomp", FILTER),
            *("--perms", "0111", "--ro-bind-data", SHELL_DATA, SHELL),
            *("--remount-ro", "/", "--chdir", work, "--"),
            *self.limited(launch, [SHELL, *inside[1:]]),
        ]
        variables = self.variables(launch, SCRATCH, SUPPORT)
        in_memory = (work, SCRATCH, "/dev/shm")
        return Start(argv, Path("/"), variables, False, group, in_memory, entry)


async def _try(command: list[str], entry: Entry | None, toolchain: Toolchain | None = None) -> str:
    """Run a command as tests would run; returns what was wrong, or nothing."""
    work = work_folder(toolchain)
    argv = ["bwrap", *_confinement(16, entry, work), *_views(toolchain), "--chdir", work, *command]
    # Shielded: bwrap killed at the wrong moment leaves a child that never ends.
    with anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            argv, stdin=subprocess.DEVNULL, pass_fds=entry.inherited if entry else ()
        )
        async with process:
            if entry:
                try:
                    await entry.admit()
                except SandboxError as error:
                    entry.close()  # bwrap, which waits for it, ends
                    return str(error)
            assert process.stderr
            output = b"".join([part async for part in process.stderr])
    if not process.returncode:
        return ""
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit {process.returncode}"


def _confinement(work_mb: int, entry: Entry | None, work: str) -> list[str]:
    # The launcher, which is not the tests' user if these have one of their own, makes the folders.
    size = ("--perms", "1777", "--size", str(work_mb * 2**20), "--tmpfs")
    return [
        *NAMESPACES,
        *("--cap-drop", "ALL", "--hostname", "sandbox"),
        *(entry.argv() if entry else ("--uid", str(INSIDE), "--gid", str(INSIDE))),
        # To the kernel, root outside owns /proc/sys inside: so all of /proc is read-only.
        *("--proc", "/proc", "--remount-ro", "/proc"),
        *("--dev", "/dev", *size, "/dev/shm", "--remount-ro", "/dev"),
        *(*size, SCRATCH, *size, work),
    ]


def _views(toolchain: Toolchain | None = None) -> list[str]:
    """Arguments for read-only views of the system and of the language's programs."""
    views = [(str(path), str(path)) for path in _program_folders(toolchain)]
    if toolchain:
        views += [(str(toolchain.runner), HOME), (str(toolchain.support), SUPPORT)]
    argv: list[str] = []
    # bwrap itself makes the folders above a mount for its own user alone.
    above = {parent for _, target in views for parent in Path(target).parents[:-1]}
    for folder in sorted(above | {Path("/etc")}):
        argv += ["--perms", "0755", "--dir", str(folder)]
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            argv += ["--ro-bind", str(path), str(path)]
    for source, target in sorted(views):
        argv += ["--ro-bind", source, target]
    # llmbench holds the reference solutions of the shipped problems.
    ours = Path(llmbench.__file__).parent
    if any(ours.is_relative_to(folder) for folder in (*(source for source, _ in views), *SYSTEM)):
        argv += ["--tmpfs", str(ours), "--remount-ro", str(ours)]
    return argv


def work_folder(toolchain: Toolchain | None) -> str:
    """Return the first folder for the tests' files in which no program of the machine lies."""
    folders = _program_folders(toolchain)
    names = chain([WORK], (f"{WORK}-{number}" for number in count(2)))
    return next(name for name in names if not any(f.is_relative_to(name) for f in folders))


def _program_folders(toolchain: Toolchain | None) -> set[Path]:
    """The folders that programs need, none of them inside another or in those of the system."""
    wanted = {Path(sys.prefix), Path(sys.base_prefix)}
    for program in toolchain.programs if toolchain else ():
        folder = program.resolve().parent
        prefix = folder.parent if folder.name == "bin" else folder
        # Never the files of a person, where a program is alone in ~/bin or ~/.local/bin.
        private = prefix == Path.home() or prefix == Path.home() / ".local"
        wanted |= {program.parent, folder if private else prefix}
    known = [*map(Path, SYSTEM), *wanted]
    return {
        folder
        for folder in wanted
        if not any(folder != other and folder.is_relative_to(other) for other in known)
        and folder not in map(Path, SYSTEM)
    }
