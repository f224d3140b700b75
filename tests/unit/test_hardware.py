"""The hardware of this machine, from the files and tools of its drivers."""

import subprocess
from pathlib import Path

import pytest

from llmbench.store import hardware as module


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put an `nvidia-smi` with this script first in the path."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    module.hardware.cache_clear()


def test_gpus_of_nvidia_are_listed_with_memory_and_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "echo 'NVIDIA GeForce RTX 4090, 24564, 580.95'; echo 'NVIDIA GB10, [N/A], 580.95'"
    tool(tmp_path, monkeypatch, lines)
    (gpu,) = module.hardware()["gpus"]
    assert gpu == {
        "name": "NVIDIA GeForce RTX 4090",
        "memory_bytes": 24564 * 1024**2,
        "driver": "580.95",
    }


@pytest.mark.parametrize("script", ["exit 9", "echo 'no devices were found'", "sleep 60"])
def test_a_tool_that_fails_or_hangs_lists_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(module, "QUERY_SECONDS", 0.5)
    tool(tmp_path, monkeypatch, script)
    assert module.hardware()["gpus"] == []


def test_gpus_of_amd_are_read_from_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path / "card1" / "device"
    device.mkdir(parents=True)
    (device / "mem_info_vram_total").write_text("25753026560\n")
    monkeypatch.setattr(module, "DRM", tmp_path)
    tool(tmp_path, monkeypatch, "exit 1")
    assert module.hardware()["gpus"] == [{"name": "AMD GPU", "memory_bytes": 25753026560}]


def test_processor_and_memory_are_those_of_the_machine() -> None:
    module.hardware.cache_clear()
    hardware = module.hardware()
    assert hardware["cores"] >= 1
    assert hardware["memory_bytes"] > 2**28
    counted = subprocess.run(["getconf", "_PHYS_PAGES"], capture_output=True, check=True).stdout
    assert hardware["memory_bytes"] == int(counted) * 4096
