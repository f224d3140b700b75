"""The scripts of the manual work as a newcomer runs them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_script_works_without_a_docker_engine(tmp_path: Path) -> None:
    flags = ["--only", "python-lru-ttl-cache", "--runs", "1", "--out", "r.csv"]
    ran = subprocess.run(
        [sys.executable, ROOT / "scripts/demo.py", *flags],
        cwd=tmp_path,
        env={**os.environ, "DOCKER_HOST": "unix:///none"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "no model was asked" in ran.stdout
    assert (tmp_path / "r.csv").exists()
