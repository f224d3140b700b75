"""Control groups: limits that the kernel holds, where this user may make groups.

Version 2 works as under systemd, where the groups of a session belong to its user. Version 1 needs
root.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

import anyio

from llmbench.runners import ResourceLimits

logger = logging.getLogger(__name__)

PERIOD_MICROSECONDS = 100_000
PREFIX = "llmbench-"
CLOSE_SECONDS = 2.0
"""Longest wait until the last processes of our groups have ended."""


class _Controller(NamedTuple):
    """The settings of one controller, by file, and the file of its counters."""

    settings: Callable[[ResourceLimits], Mapping[str, str]]
    counters: str = ""


_V1 = {
    "memory": _Controller(
        lambda limits: {
            "memory.limit_in_bytes": str(limits.memory_mb * 2**20),
            "memory.memsw.limit_in_bytes": str(limits.memory_mb * 2**20),
        },
        "memory.oom_control",
    ),
    "pids": _Controller(lambda limits: {"pids.max": str(limits.pids)}),
    "cpu": _Controller(
        lambda limits: {
            "cpu.cfs_period_us": str(PERIOD_MICROSECONDS),
            "cpu.cfs_quota_us": str(round(limits.cpus * PERIOD_MICROSECONDS)),
        }
    ),
    "cpuacct": _Controller(lambda _: {}, "cpuacct.usage"),
}
_V2 = {
    "memory": _Controller(
        lambda limits: {
            "memory.max": str(limits.memory_mb * 2**20),
            "memory.swap.max": "0",
        },
        "memory.events",
    ),
    "pids": _V1["pids"],
    "cpu": _Controller(
        lambda limits: {
            "cpu.max": f"{round(limits.cpus * PERIOD_MICROSECONDS)} {PERIOD_MICROSECONDS}"
        },
        "cpu.stat",
    ),
}
_WITHOUT_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")
"""Files that a kernel without swap accounting lacks."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group: a folder, or with version 1 a folder of each controller."""

    folders: tuple[Path, ...]
    memory_events: Path
    cpu_usage: Path

    @property
    def procs_files(self) -> list[str]:
        """The files by which a process joins: it writes 0 to them."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    @property
    def out_of_memory(self) -> bool:
        """True once the kernel has killed a process of the group for memory."""
        words = self.memory_events.read_text().split()
        return int(words[words.index("oom_kill") + 1]) > 0

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of all processes that ever ran in the group."""
        words = self.cpu_usage.read_text().split()
        # Version 2 begins with `usage_usec` and microseconds, version 1 has only nanoseconds.
        return int(words[1]) / 1e6 if words[0] == "usage_usec" else int(words[0]) / 1e9

    def try_remove(self) -> bool:
        """Kill the processes of the group and remove it; False while some still end.

        This also finds a process that was cloned at the moment its parent was killed.
        """
        try:
            for folder in filter(Path.exists, self.folders):
                for pid in map(int, (folder / "cgroup.procs").read_text().split()):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                folder.rmdir()
        except OSError:
            return False
        return True


class Groups:
    """The groups that a sandbox makes beside the one of this process."""

    def __init__(self) -> None:
        """Find where groups can be made, and try one.

        Raises:
            OSError: this user cannot make groups.
        """
        self._parents, self._controllers = _parents()
        self._numbers = count()
        parents = set(self._parents.values())
        self._ending = [group for parent in parents for group in _orphans(parent)]
        self.remove(self.create(ResourceLimits()))
        logger.debug("cgroups are made in %s", ", ".join(map(str, parents)))

    def create(self, limits: ResourceLimits) -> Group:
        """Create a group with these limits.

        Raises:
            OSError: it cannot be created.
        """
        self._ending = [group for group in self._ending if not group.try_remove()]
        name = f"{PREFIX}{os.getpid()}-{next(self._numbers)}"
        folders = {key: parent / name for key, parent in self._parents.items()}
        for folder in dict.fromkeys(folders.values()):
            folder.mkdir()
        for key, controller in self._controllers.items():
            for file, value in controller.settings(limits).items():
                path = folders[key] / file
                if file not in _WITHOUT_SWAP or path.exists():
                    path.write_text(value)
        memory_events, cpu_usage = (
            folders[key] / self._controllers[key].counters
            for key in ("memory", "cpuacct" if "cpuacct" in folders else "cpu")
        )
        return Group(tuple(dict.fromkeys(folders.values())), memory_events, cpu_usage)

    def remove(self, group: Group) -> None:
        """Remove a group, at once or when its last process has ended."""
        if not group.try_remove():
            self._ending.append(group)

    async def aclose(self) -> None:
        """Remove all groups whose processes have ended."""
        with anyio.move_on_after(CLOSE_SECONDS):
            while self._ending:
                self._ending = [group for group in self._ending if not group.try_remove()]
                await anyio.sleep(0.01)


def _parents() -> tuple[dict[str, Path], Mapping[str, _Controller]]:
    own = dict(_own_groups())
    if own.keys() >= _V1.keys():
        # A group of version 1 may hold groups and processes.
        return {key: own[key] for key in _V1}, _V1
    if "" not in own:
        raise OSError("no cgroup file system is mounted")
    # In version 2 only one or the other, and ours holds this process: so beside it, not below.
    parent = own[""] if _is_root(own[""]) else own[""].parent
    enabled = (parent / "cgroup.subtree_control").read_text().split()
    if missing := set(_V2) - set(enabled):
        raise OSError(f"{parent} has no controller {', '.join(sorted(missing))}")
    return dict.fromkeys(_V2, parent), _V2


def _own_groups() -> Iterator[tuple[str, Path]]:
    """Each controller ("" for version 2) with the folder of this process's group in it."""
    groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, kind = line.split(" - ")
        root, mount_point = mount.split()[3:5]
        options = kind.split()[-1].split(",") if kind.startswith("cgroup ") else [""]
        if kind.startswith(("cgroup ", "cgroup2 ")):
            for _, controllers, path in groups:
                for key in set(controllers.split(",")) & set(options):
                    below = Path(path).relative_to(root) if Path(path).is_relative_to(root) else "."
                    yield key, Path(mount_point) / below


def _is_root(folder: Path) -> bool:
    # Only the root group has no type.
    return not (folder / "cgroup.type").exists()


def _orphans(parent: Path) -> Iterator[Group]:
    """The groups of runs that were killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            yield Group((folder,), folder, folder)
