"""Sets up the environment of the other scripts. It needs only Python 3.11 or newer."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIN_PYTHON = (3, 11)


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
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        lock = str(ROOT / "requirements.lock")
        target = ["--constraint", lock, "--editable", f"{ROOT}[{extras}]"]
        if subprocess.run([interpreter, *install, *target]).returncode:
            raise SystemExit("the installation failed; the lines above say why")
        marker.touch()
    return interpreter


def _digest(extras: str) -> str:
    """Return a hash that changes with the packages to install."""
    files = (ROOT / "pyproject.toml").read_bytes() + (ROOT / "requirements.lock").read_bytes()
    return hashlib.sha256(files + extras.encode()).hexdigest()[:16]


def log(line: str) -> None:
    """Print a line about a step that takes a while."""
    print(f"· {line}", file=sys.stderr, flush=True)
