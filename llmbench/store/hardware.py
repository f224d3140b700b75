"""The hardware of this machine, as far as it can be read without privileges and in short time."""

import csv
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

QUERY_SECONDS = 5.0
CPU_INFO = Path("/proc/cpuinfo")
DRM = Path("/sys/class/drm")
MEBIBYTE = 1024**2

NVIDIA_QUERY = (
    "nvidia-smi",
    "--query-gpu=name,memory.total,driver_version",
    "--format=csv,noheader,nounits",
)
APPLE_CPU = ("sysctl", "-n", "machdep.cpu.brand_string")
APPLE_MEMORY = ("sysctl", "-n", "hw.memsize")


@cache
def hardware() -> dict[str, Any]:
    """Return the processor, its cores, the memory in bytes and the GPUs; None where unknown."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_bytes": _memory(),
        "gpus": [*_nvidia_gpus(), *_amd_gpus()],
    }


def _cpu() -> str | None:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", CPU_INFO.read_text(), re.MULTILINE)
    except (OSError, ValueError):
        match = None
    name = match[1].strip() if match else _output(APPLE_CPU) or platform.processor()
    return name or None


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        size = _output(APPLE_MEMORY) or ""
        return int(size) if size.isdecimal() else None


def _nvidia_gpus() -> list[dict[str, Any]]:
    """Return the GPUs that NVIDIA's driver lists; its tool comes with the driver."""
    lines = csv.reader((_output(NVIDIA_QUERY) or "").splitlines(), skipinitialspace=True)
    return [
        {"name": name, "memory_bytes": int(mebibytes) * MEBIBYTE, "driver": driver}
        for name, mebibytes, driver in (line for line in lines if len(line) == 3)
        if mebibytes.isdecimal()
    ]


def _amd_gpus() -> list[dict[str, Any]]:
    """Return the GPUs of AMD's driver of Linux, whose names it gives for some cards only."""
    gpus = []
    for path in sorted(DRM.glob("card*/device/mem_info_vram_total")):
        size, name = _read(path), _read(path.with_name("product_name"))
        if size and size.isdecimal():
            gpus.append({"name": name or "AMD GPU", "memory_bytes": int(size)})
    return gpus


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (OSError, ValueError):
        return None


def _output(argv: Sequence[str]) -> str | None:
    """Return the output of a command; None if there is no such command, or it fails."""
    try:
        ran = subprocess.run(argv, capture_output=True, timeout=QUERY_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return ran.stdout.decode("utf-8", "replace").strip() or None
