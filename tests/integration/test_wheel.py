"""The wheel works alone: it is built, installed elsewhere and run without the checkout."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import anyio
import polars as pl
import pytest
from helpers.private_engine import NoEngineError, private_engine

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The interpreter of an environment with the wheel, which borrows our dependencies."""
    folder = wheel.parent
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env/bin/python"
    site_packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", site_packages, wheel], check=True)
    # Python does not read .pth files of a borrowed folder, so the checkout is not on the path.
    (Path(site_packages) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": "unix:///none"}
    return subprocess.run(
        [python, "-m", "llmbench", *flags], cwd=folder, env=env, capture_output=True, text=True
    )


def test_python_imports_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "import llmbench; print(llmbench.__file__)"
    output = subprocess.run(
        [installed, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert str(installed.parent.parent) in output.stdout


def test_the_wheel_carries_problems_runners_and_recordings(installed: Path, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from llmbench.plan import bundled_dir; import llmbench\n"
        "top = Path(llmbench.__file__).parent\n"
        "for name in ('problems', 'runners'):\n"
        "    assert bundled_dir(name).is_relative_to(top), bundled_dir(name)\n"
        "assert (top / 'sandboxes/docker/supervisor.sh').is_file()\n"
        "print(len(list(bundled_dir('problems').glob('*.yaml'))),"
        " len(list(bundled_dir('runners').glob('*/run.sh'))),"
        " len(list((top / 'demo/recordings').glob('*.yaml'))))"
    )
    output = subprocess.run(
        [installed, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    files = len(list((ROOT / "problems").glob("*.yaml")))
    assert output.stdout.split() == [str(files), "3", "3"]


def test_the_wheel_runs_the_demo_without_a_docker_engine(installed: Path, tmp_path: Path) -> None:
    flags = ["--provider", "demo", "--langs", "python", "--only", "python-lru-*", "--runs", "1"]
    ran = run(installed, tmp_path, *flags, "--out", "r.csv")
    assert ran.returncode == 0, ran.stderr
    assert len((tmp_path / "r.csv").read_text().splitlines()) > 3
    assert "no model was asked" in ran.stdout


@pytest.mark.anyio
@pytest.mark.docker
async def test_one_command_installs_the_wheel_builds_the_image_and_runs_the_demo(
    wheel: Path, tmp_path: Path
) -> None:
    base = os.environ.get("PYTHON_BASE")
    uv = Path(sys.executable).with_name("uv")
    tool = [uv, "tool", "run", "--constraints", ROOT / "requirements.lock", "--from", wheel]
    flags = ["--provider", "demo", "--only", "python-lru-*", "--runs", "1", "--out", "r.csv"]
    try:
        # It has no bridge, so builds use the network of this machine.
        with private_engine(*filter(None, [base])) as engine:
            env = {
                **os.environ,
                "DOCKER_HOST": engine.host,
                "BUILD_NETWORK": "host",
                "UV_TOOL_DIR": str(tmp_path / "tools"),
                "PYTHONPATH": "",
            }
            done = await anyio.run_process(
                [*map(str, tool), "llmbench", *flags], cwd=tmp_path, env=env, check=False
            )
    except NoEngineError as error:
        pytest.skip(str(error))
    stderr = done.stderr.decode()
    assert done.returncode == 0, stderr
    assert "the engine has no image llmbench-python: it is built once" in stderr
    assert "built llmbench-python in " in stderr
    assert "no model was asked" in done.stdout.decode()
    rows = pl.read_csv(tmp_path / "r.csv")
    assert set(rows["sandbox"]) == {"docker"}
    assert rows["score"].null_count() == 0
