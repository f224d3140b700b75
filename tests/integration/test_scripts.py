"""The scripts of the manual work as a newcomer runs them."""

import json
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


def test_each_test_that_lacks_a_part_is_counted_once_however_many_workers_there_are(
    tmp_path: Path,
) -> None:
    file = tmp_path / "skipped.json"
    env = {name: value for name, value in os.environ.items() if name[:9] != "LLMBENCH_"}
    env |= {"DOCKER_HOST": "unix:///none", "LLMBENCH_TEST_SKIPPED": str(file)}

    def counted(workers: int) -> dict[str, int]:
        file.unlink(missing_ok=True)
        flags = ["-q", "-p", "no:cacheprovider", "-n", str(workers)]
        tests = str(ROOT / "tests/contract/test_race_detector.py")
        command = [sys.executable, "-m", "pytest", *flags, "-k", "docker", tests]
        ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout
        counts: dict[str, int] = json.loads(file.read_text())
        return counts

    assert counted(2) == counted(0)
    assert counted(0)["docker"] > 0
