"""Makes what the other scripts need, with nothing but Python 3.11 or newer."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)


def python(extras: str) -> Path:
    """The interpreter of an environment with llmbench and these extras, made when missing.

    The active virtual environment if there is one, else `.venv` in the checkout. Versions are
    those of requirements.lock. Leaves with a line for people when something is missing.
    """
    if sys.version_info < OLDEST:
        raise SystemExit(f"llmbench needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    folder = Path(sys.prefix) if sys.prefix != sys.base_prefix else ROOT / ".venv"
    inside = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not inside.exists():
        say(f"making a virtual environment in {folder}")
        if subprocess.run([sys.executable, "-m", "venv", folder]).returncode:
            raise SystemExit(
                "no virtual environment could be made (Debian, Ubuntu: apt install python3-venv)"
            )
    wanted = (ROOT / "pyproject.toml").read_bytes() + (ROOT / "requirements.lock").read_bytes()
    digest = hashlib.sha256(wanted + extras.encode()).hexdigest()[:16]
    done = folder / f".llmbench-{digest}"
    if not done.exists():
        say(f"installing llmbench[{extras}] into {folder}")
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        lock = str(ROOT / "requirements.lock")
        target = ["--constraint", lock, "--editable", f"{ROOT}[{extras}]"]
        if subprocess.run([inside, *install, *target]).returncode:
            raise SystemExit("the installation failed; the lines above say why")
        done.touch()
    return inside


def say(line: str) -> None:
    """Tell what takes a while."""
    print(f"· {line}", file=sys.stderr, flush=True)
