"""Limits of the kernel's own for groups of processes, where this user may set them.

cgroup v2 as under systemd, where a session's groups belong to its user, and v1, which needs root.
"""

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

PERIOD_MICROSECONDS = 100_000
PREFIX = "llmbench-"
LEAVING_SECONDS = 2.0
"""Longest wait for the last processes of our groups to be gone."""


class _Controller(NamedTuple):
    """What one controller is told, a file and a value each, and the file where it counts."""

    settings: Callable[[ResourceLimits], Mapping[str, str]]
    counts: str = ""


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
"""Files that a kernel without swap accounting has not."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group: a folder, or with v1 one of each controller."""

    folders: tuple[Path, ...]
    kills: Path
    usage: Path

    @property
    def members(self) -> list[str]:
        """The files that take in the process that writes 0 to them."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    @property
    def out_of_memory(self) -> bool:
        """True once the kernel has killed a process of the group for memory."""
        words = self.kills.read_text().split()
        return int(words[words.index("oom_kill") + 1]) > 0

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds of all that ever ran in the group."""
        words = self.usage.read_text().split()
        # v2 begins with `usage_usec` and microseconds, v1 has nanoseconds alone.
        return int(words[1]) / 1e6 if words[0] == "usage_usec" else int(words[0]) / 1e9

    def remove(self) -> bool:
        """Kill what is in the group and remove it; False while something of it is left.

        A process that is cloned in the moment in which its parent is killed is in here alone.
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
    """Makes groups beside our own, and removes them."""

    def __init__(self) -> None:
        """Find where groups can be made; try one.

        Raises:
            OSError: nowhere by this user.
        """
        self._parents, self._controllers = _parents()
        self._numbers = count()
        self._left = [group for parent in set(self._parents.values()) for group in _dead(parent)]
        self.leave(self.make(ResourceLimits()))

    def make(self, limits: ResourceLimits) -> Group:
        """A new group with these limits.

        Raises:
            OSError: it cannot be made.
        """
        self._left = [group for group in self._left if not group.remove()]
        name = f"{PREFIX}{os.getpid()}-{next(self._numbers)}"
        folders = {key: parent / name for key, parent in self._parents.items()}
        for folder in dict.fromkeys(folders.values()):
            folder.mkdir()
        for key, controller in self._controllers.items():
            for file, value in controller.settings(limits).items():
                path = folders[key] / file
                if file not in _WITHOUT_SWAP or path.exists():
                    path.write_text(value)
        kills, usage = (
            folders[key] / self._controllers[key].counts
            for key in ("memory", "cpuacct" if "cpuacct" in folders else "cpu")
        )
        return Group(tuple(dict.fromkeys(folders.values())), kills, usage)

    def leave(self, group: Group) -> None:
        """Remove a group, at once or when its last process is gone."""
        if not group.remove():
            self._left.append(group)

    async def aclose(self) -> None:
        """Remove what is left."""
        with anyio.move_on_after(LEAVING_SECONDS):
            while self._left:
                self._left = [group for group in self._left if not group.remove()]
                await anyio.sleep(0.01)


def _parents() -> tuple[dict[str, Path], Mapping[str, _Controller]]:
    own = dict(_own())
    if own.keys() >= _V1.keys():
        # A v1 group may hold groups and processes.
        return {key: own[key] for key in _V1}, _V1
    if "" not in own:
        raise OSError("no cgroup file system is mounted")
    # Of v2 only one or the other, and ours holds this process: so beside it, not below.
    parent = own[""] if _is_root(own[""]) else own[""].parent
    offered = (parent / "cgroup.subtree_control").read_text().split()
    if missing := set(_V2) - set(offered):
        raise OSError(f"{parent} has no controller {', '.join(sorted(missing))}")
    return dict.fromkeys(_V2, parent), _V2


def _own() -> Iterator[tuple[str, Path]]:
    """Controllers, the empty one for v2, and our own group's folder in each."""
    groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place, kind = line.split(" - ")
        root, at = place.split()[3:5]
        options = kind.split()[-1].split(",") if kind.startswith("cgroup ") else [""]
        if kind.startswith(("cgroup ", "cgroup2 ")):
            for _, controllers, path in groups:
                for key in set(controllers.split(",")) & set(options):
                    below = Path(path).relative_to(root) if Path(path).is_relative_to(root) else "."
                    yield key, Path(at) / below


def _is_root(folder: Path) -> bool:
    # All groups but the root have a type.
    return not (folder / "cgroup.type").exists()


def _dead(parent: Path) -> Iterator[Group]:
    """The groups of runs that were killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not Path("/proc", pid).exists():
            yield Group((folder,), folder, folder)
