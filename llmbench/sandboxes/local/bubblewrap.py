"""bubblewrap: a local process with namespaces of its own, for machines without an engine."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import anyio

import llmbench
from llmbench.errors import NoSandboxError
from llmbench.runners import Runner
from llmbench.sandboxes.launch import HOME, WORK, Launch
from llmbench.sandboxes.local import seccomp
from llmbench.sandboxes.local.cgroups import Groups
from llmbench.sandboxes.local.process import ProcessSandbox, Start
from llmbench.sandboxes.local.toolchains import Toolchain, version

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"),
    *("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
)
"""What of the machine the code sees, read-only, beside the programs of its language."""

CHILDREN = "/proc/thread-self/children"
"""Without it the memory of what was started cannot be counted."""

COUNTED = (
    "memory and processes of tests are counted now and then, as this user may set the kernel no "
    "limit for them: for firm limits start with systemd-run --user --scope"
)

# Arguments: the filter of system calls, files that take this process into its group, --, bwrap.
ENTER = """
filter=$1
shift
while [ "$1" != -- ]; do
    echo 0 >"$1" || exit 125
    shift
done
shift
exec "$@" 9<"$filter"
"""
FILTER = "9"
"""The descriptor in ENTER."""

SUPPORT = "/opt/support"
SCRATCH = "/tmp"
USER = "10001"

# As process 1 the launcher takes all others with it, and bwrap ends after them, not before: what
# it reports of processor time is of them all, and nothing is left when it has ended.
NAMESPACES = ("--unshare-all", "--unshare-user", "--as-pid-1", "--die-with-parent", "--new-session")


class BubblewrapSandbox(ProcessSandbox):
    """Runs each submission under bwrap: own namespaces, no network, a root of read-only parts."""

    name = "bubblewrap"

    def __init__(self, runners: Mapping[str, Runner], toolchains: Mapping[str, Toolchain]) -> None:
        """Serve the languages of these runners, which are ready in `toolchains`.

        Raises:
            NoSandboxError: libseccomp is not installed.
        """
        super().__init__(runners, toolchains)
        self._filter = seccomp.program()
        self._groups: Groups | None = None
        with suppress(OSError):
            self._groups = Groups()

    @classmethod
    async def open(cls, runners: Mapping[str, Runner], notify: Callable[[str], None]) -> Self:
        """Try bwrap for real, and make the languages ready.

        Raises:
            NoSandboxError: bwrap is missing or may not make namespaces here, or a language
                cannot be made ready; says what to do.
        """
        if shutil.which("bwrap") is None:
            raise NoSandboxError("bwrap is not installed: install the package bubblewrap")
        trial = ["bwrap", *_confinement(16), *_views(), "--chdir", WORK, "true"]
        # To its end: killed in the wrong moment, bwrap leaves a child that never ends.
        with anyio.CancelScope(shield=True):
            done = await anyio.run_process(trial, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip() or f"exit {done.returncode}"
            raise NoSandboxError(
                f"bwrap cannot confine here ({said.splitlines()[-1]}): "
                "allow unprivileged user namespaces, or use Docker"
            )
        sandbox = await super().open(runners, notify)
        if sandbox._groups is None:
            if not os.access(CHILDREN, os.R_OK):
                raise NoSandboxError(f"this kernel has no {CHILDREN}: use Docker")
            notify(COUNTED)
        return sandbox

    async def versions(self) -> dict[str, str]:
        """bwrap, and the programs of each language, as they call themselves."""
        bwrap = await version(Path(shutil.which("bwrap") or "bwrap"), os.defpath)
        return {"bubblewrap": bwrap} | await super().versions()

    async def aclose(self) -> None:
        """Remove the groups; nothing else outlives a run."""
        os.close(self._filter)
        if self._groups:
            await self._groups.aclose()

    def start(self, launch: Launch, archive: bytes, stack: ExitStack) -> Start:
        """How to start the launcher; all it writes is in memory, and gone with it."""
        lang = launch.submission.lang
        toolchain, limits = self.toolchains[lang], self.runners[lang].limits
        bwrap = shutil.which("bwrap") or "bwrap"
        members, group = [], None
        if self._groups is not None:
            group = self._groups.make(limits)
            stack.callback(self._groups.leave, group)
            members = group.members
        argv = [
            *("sh", "-c", ENTER, "sh", f"/proc/{os.getpid()}/fd/{self._filter}", *members, "--"),
            *(bwrap, *_confinement(limits.work_mb), *_views(toolchain), "--seccomp", FILTER),
            *("--ro-bind", str(toolchain.runner), HOME),
            *("--ro-bind", str(toolchain.support), SUPPORT),
            *("--remount-ro", "/", "--chdir", WORK, "--"),
            *self.limited(launch, launch.argv(archive)),
        ]
        return Start(argv, Path("/"), self.variables(launch, SCRATCH, SUPPORT), False, group)


def _confinement(work_mb: int) -> list[str]:
    size = ("--size", str(work_mb * 2**20), "--tmpfs")
    return [
        *NAMESPACES,
        *("--uid", USER, "--gid", USER, "--cap-drop", "ALL", "--hostname", "sandbox"),
        # For the kernel, root outside is the owner of /proc/sys inside: so no write to any of it.
        *("--proc", "/proc", "--remount-ro", "/proc"),
        *("--dev", "/dev", *size, "/dev/shm", "--remount-ro", "/dev"),
        *(*size, SCRATCH, *size, WORK),
    ]


def _views(toolchain: Toolchain | None = None) -> list[str]:
    """Read-only views of the system, and of the places where the language's programs are."""
    argv: list[str] = []
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            argv += ["--ro-bind", str(path), str(path)]
    places = _places(toolchain.programs if toolchain else ())
    for place in sorted(places):
        argv += ["--ro-bind", str(place), str(place)]
    # Ours holds the reference solutions of the shipped problems.
    ours = Path(llmbench.__file__).parent
    if any(ours.is_relative_to(place) for place in (*places, *map(Path, SYSTEM))):
        argv += ["--tmpfs", str(ours), "--remount-ro", str(ours)]
    return argv


def _places(programs: Iterable[Path]) -> set[Path]:
    """The folders that programs need, none of them inside another or in the system's."""
    wanted = {Path(sys.prefix), Path(sys.base_prefix)}
    for program in programs:
        folder = program.resolve().parent
        prefix = folder.parent if folder.name == "bin" else folder
        # Never a person's own files, where a program stands alone in ~/bin or ~/.local/bin.
        private = prefix == Path.home() or prefix == Path.home() / ".local"
        wanted |= {program.parent, folder if private else prefix}
    known = [*map(Path, SYSTEM), *wanted]
    return {
        place
        for place in wanted
        if not any(place != other and place.is_relative_to(other) for other in known)
        and place not in map(Path, SYSTEM)
    }
