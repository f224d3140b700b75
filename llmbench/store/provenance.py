"""`run.json`: what made a run, so that it can be understood and continued. Holds no key."""

import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmbench import __version__
from llmbench.errors import UsageError
from llmbench.store import files

NAME = "run.json"


def read(folder: Path) -> dict[str, Any]:
    """What is known of the run in a folder.

    Raises:
        UsageError: it has no readable `run.json`.
    """
    path = folder / NAME
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UsageError(f"--resume: {path} cannot be read: start a new run") from None
    if not isinstance(known, dict) or not isinstance(known.get("commands"), list):
        raise UsageError(f"--resume: {path} is not the record of a run: start a new run")
    return known


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Put the record of a run in its folder.

    Raises:
        OutputError: it cannot be written.
    """
    files.write_text(folder / NAME, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def machine() -> dict[str, str | None]:
    """What runs here: versions of llmbench and its interpreter, the host."""
    return {
        "llmbench": __version__,
        "git_commit": _commit(),
        "python": platform.python_version(),
        "host": platform.node(),
        "system": platform.platform(),
    }


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """The commit of the checkout that runs, None where it is none."""
    here = Path(__file__).resolve().parent.parent.parent
    if not (here / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
