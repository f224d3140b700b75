"""Measures the whole machine, for benchmarks whose work is spread over many processes."""

import os
from pathlib import Path


def cpu_seconds() -> float:
    """Return the processor seconds that the machine has spent since it started (Linux)."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
