"""The owner label of containers, which tells those of dead processes from others."""

import os
import platform
from pathlib import Path


def owner_label() -> str:
    """Return this process as a label: host, boot, process id, start of the process."""
    return f"{platform.node()}/{_boot_id()}/{os.getpid()}/{_start_time(os.getpid())}"


def is_dead(label: str) -> bool:
    """True if the label names a process of this host that does not run any more."""
    host, *rest = label.split("/")
    if host != platform.node() or len(rest) != 3 or not rest[1].isdecimal():
        return False
    boot, pid, start = rest
    if boot != _boot_id():
        return True
    # Without /proc the start is not known: a process of the same number counts as the same.
    return str(_start_time(int(pid))) != start or (start == str(None) and not _exists(int(pid)))


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else "-"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _start_time(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None
