"""Sets up the environment of the other scripts. It needs only Python 3.11 or newer.

python3 scripts/bootstrap.py    with all extras; prints its interpreter
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIN_PYTHON = (3, 11)
ALL_EXTRAS = "dask,dev,docs,mutation,report,toolchains"


def python(extras: str) -> Path:
    """Return the interpreter of an environment with llmbench and these extras.

    The environment is the active virtual environment, else `.venv` in the checkout, which is made
    if it is missing. Package versions are those of requirements.lock.

    Raises:
        SystemExit: Python is too old, or a step of the set-up failed.
    """
    if sys.version_info < MIN_PYTHON:
        raise SystemExit(f"llmbench needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    folder = Path(sys.prefix) if sys.prefix != sys.base_prefix else ROOT / ".venv"
    interpreter = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not interpreter.exists():
        log(f"creating a virtual environment in {folder}")
        if subprocess.run([sys.executable, "-m", "venv", folder]).returncode:
            raise SystemExit(
                "cannot create a virtual environment (Debian, Ubuntu: apt install python3-venv)"
            )
    marker = folder / f".llmbench-{_digest(extras)}"
    if not marker.exists():
        log(f"installing llmbench[{extras}] into {folder}")
        lock = str(ROOT / "requirements.lock")
        target = ["--constraint", lock, "--editable", f"{ROOT}[{extras}]"]
        if subprocess.run([*_installer(interpreter), *target]).returncode:
            raise SystemExit("the installation failed; the lines above say why")
        marker.touch()
    return interpreter


def _installer(interpreter: Path) -> list[str | Path]:
    """Return the command that installs packages: of uv if it is there, which is faster, or pip."""
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", interpreter]
    # Compiling what is never imported takes a third of pip's time.
    pip = ["-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    return [interpreter, *pip]


def _digest(extras: str) -> str:
    """Return a hash that changes with the packages to install."""
    files = (ROOT / "pyproject.toml").read_bytes() + (ROOT / "requirements.lock").read_bytes()
    return hashlib.sha256(files + extras.encode()).hexdigest()[:16]


def log(line: str) -> None:
    """Print a line about a step that takes a while."""
    print(f"· {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(python(ALL_EXTRAS))
