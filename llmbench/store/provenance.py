"""`run.json`, the record of a run, by which people understand it and `--resume` continues it.

It holds no key.
"""

import json
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from llmbench._version import __version__
from llmbench.errors import UsageError
from llmbench.store import atomic
from llmbench.store.former_names import RUN_RECORD, with_current_names
from llmbench.store.hardware import hardware

NAME = "run.json"

_HINT = "start a new run"


class _Session(BaseModel):
    sandbox: str
    versions: dict[str, str]


class _Target(BaseModel):
    provider: str
    model: str
    base_url: str
    sampling: dict[str, float | str | None]
    extra: str
    variant: str | None = None


class _Endpoint(BaseModel):
    targets: list[_Target]


class _Plan(BaseModel):
    endpoints: list[_Endpoint]
    problems: dict[str, str]
    test_timeout: float


class _Record(BaseModel):
    """The part of a record that a resumed run needs."""

    options: dict[str, Any] | None = None
    commands: list[list[str]] | None = None
    plan: _Plan
    sweep_step: str | None
    prompt_template_sha256: dict[str, str]
    sessions: Annotated[list[_Session], Field(min_length=1)]


def read(folder: Path) -> dict[str, Any]:
    """Return the record of the run in a folder.

    Raises:
        UsageError: the record is missing, or a run cannot be resumed from it.
    """
    path = folder / NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        record: dict[str, Any] = with_current_names(data, RUN_RECORD)
        _Record.model_validate(record)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", hint=_HINT) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: {where}: {first['msg']}", hint=_HINT) from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}", hint=_HINT) from None
    return record


def exists(folder: Path) -> bool:
    """True if there is a record in a run's folder."""
    return (folder / NAME).exists()


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run into its folder.

    Raises:
        OutputError: the file cannot be written.
    """
    atomic.write_text(folder / NAME, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def environment() -> dict[str, Any]:
    """Return the versions of llmbench and Python, the commit, and the host with its hardware."""
    return {
        "llmbench": __version__,
        "git_commit": _commit(),
        "python": platform.python_version(),
        "host": platform.node(),
        "system": platform.platform(),
        "hardware": hardware(),
    }


def utc_now() -> str:
    """Return the time in UTC, to the second, in ISO format."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """Return the commit of the checkout, with `-dirty` if it was changed; None without one."""
    here = Path(__file__).resolve().parent.parent.parent
    if not (here / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--exclude=*", "--abbrev=40",
             "--dirty"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None
