"""The wheel alone: built, installed elsewhere, run without the checkout."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has the wheel, and our dependencies to borrow."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env/bin/python"
    inside = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", inside, wheel], check=True)
    # A path file is read only in a real site folder, so ours is not followed to the checkout.
    (Path(inside) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": "unix:///none"}
    return subprocess.run(
        [python, "-m", "llmbench", *flags], cwd=folder, env=env, capture_output=True, text=True
    )


def test_the_wheel_is_what_is_imported(installed: Path, tmp_path: Path) -> None:
    code = "import llmbench; print(llmbench.__file__)"
    shown = subprocess.run(
        [installed, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(installed.parent.parent) in shown.stdout


def test_the_wheel_carries_problems_runners_and_recordings(installed: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from llmbench.config import shipped; import llmbench\n"
        "top = Path(llmbench.__file__).parent\n"
        "for name in ('problems', 'runners'):\n"
        "    assert shipped(name).is_relative_to(top), shipped(name)\n"
        "assert (top / 'sandboxes/supervisor.sh').is_file()\n"
        "print(len(list(shipped('problems').glob('*.yaml'))),"
        " len(list(shipped('runners').glob('*/run.sh'))),"
        " len(list((top / 'models/recordings').glob('*.yaml'))))"
    )
    shown = subprocess.run(
        [installed, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    files = len(list((ROOT / "problems").glob("*.yaml")))
    assert shown.stdout.split() == [str(files), "3", "3"]


def test_the_wheel_runs_the_demo_where_there_is_no_engine(installed: Path, tmp_path: Path) -> None:
    flags = ["--provider", "demo", "--langs", "python", "--only", "python-lru-*", "--runs", "1"]
    ran = run(installed, tmp_path, *flags, "--out", "r.csv")
    assert ran.returncode == 0, ran.stderr
    assert len((tmp_path / "r.csv").read_text().splitlines()) > 3
    assert "no model was asked" in ran.stdout
