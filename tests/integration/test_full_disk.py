"""A full disk ends a run with one clear line; the run resumes once there is room."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from helpers.cli import run, serving
from helpers.sandboxes import REQUIRED, opened

from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

FLAGS = ["--only", "python-lru*", "--runs", "8", "--sandbox", "bubblewrap", "--out", "r.parquet"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted tmpfs with room for a part of a run."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        reason = f"no tmpfs can be mounted here: {mounted.stderr.strip()}"
        if "bubblewrap" in REQUIRED and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.bubblewrap
async def test_a_full_disk_ends_a_run_that_resumes_once_there_is_room(
    tmp_path: Path, small_disk: Path
) -> None:
    async with opened("bubblewrap", load_runners(bundled_dir("runners"))):
        pass
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(256 * 1024 - 48 * 1024))
    async with serving(tmp_path, "right") as server:
        ran = await run(small_disk, "--base-url", server.base_url, *FLAGS)
        assert ran.code == 1, ran.err
        assert "cannot be written: No space left on device" in ran.err
        assert "Traceback" not in ran.err
        assert not (small_disk / "r.parquet").exists()
        assert list(small_disk.rglob("*.tmp")) == []
        ballast.unlink()
        again = await run(small_disk, "--resume")
        assert again.code == 0, again.err
    assert pl.read_parquet(small_disk / "r.parquet")["outcome"].to_list() == ["passed"] * 8
    # Only the answer that did not fit on the disk, or was in flight then, is requested again.
    # Each of the two runs also loads the model once.
    answers = sum(n for (_, problem, *_), n in server.requests.items() if problem is not None)
    assert answers <= 8 + 1
