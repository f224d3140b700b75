"""The owner label of containers, which tells those of dead processes from others."""

import os
import platform
import subprocess
from pathlib import Path

PROC = Path("/proc")
"""The processes as Linux shows them; macOS has none, and `ps` instead."""

UNKNOWN = "None"
"""The start of a process that cannot be told, also in labels of earlier versions on macOS."""

PS_SECONDS = 10.0


def owner_label() -> str:
    """Return this process as a label: host, boot, process id, start of the process."""
    start = _start_time(os.getpid()) or UNKNOWN
    return f"{platform.node()}/{_boot_id()}/{os.getpid()}/{start}"


def is_dead(label: str) -> bool:
    """True if the label names a process of this host that does not run any more."""
    host, *rest = label.split("/")
    if host != platform.node() or len(rest) != 3 or not rest[1].isdecimal():
        return False
    boot, pid, start = rest
    if boot != _boot_id():
        return True
    now = _start_time(int(pid))
    return now is None or (now != start and UNKNOWN not in (now, start))


def _boot_id() -> str:
    path = PROC / "sys/kernel/random/boot_id"
    return path.read_text().strip() if path.exists() else "-"


def _start_time(pid: int) -> str | None:
    """Return the start time of a process, None if there is no such process.

    On Linux it is in clock ticks since boot (field 22 of /proc/PID/stat), elsewhere a date.
    """
    if not (PROC / "self/stat").exists():
        return _start_date(pid)
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


def _start_date(pid: int) -> str | None:
    """Return the start of a process as `ps` of POSIX systems prints it, without blanks."""
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            env=environment, capture_output=True, text=True, timeout=PS_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    return "-".join(done.stdout.split()) or None
