"""`run.json`: what made a run, so that it can be understood and continued. Holds no key."""

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

NAME = "run.json"

FORMER_NAMES = {
    "lanes": "endpoints",
    "part_of": "sweep_step",
    "recorded": "replayed",
    "repair": "max_repairs",
    "sandboxes": "max_sandboxes",
}
"""Fields of a record as version 0.1 wrote them, and their names now."""


class _Session(BaseModel):
    sandbox: str
    versions: dict[str, str]


class _Target(BaseModel):
    provider: str
    model: str
    base_url: str
    sampling: dict[str, float | None]
    extra: str


class _Endpoint(BaseModel):
    targets: list[_Target]


class _Plan(BaseModel):
    endpoints: list[_Endpoint]
    problems: dict[str, str]
    test_timeout: float


class _Record(BaseModel):
    """What a resumed run needs of it."""

    options: dict[str, Any] | None = None
    commands: list[list[str]] | None = None
    plan: _Plan
    sweep_step: str | None
    prompt_template_sha256: dict[str, str]
    sessions: Annotated[list[_Session], Field(min_length=1)]


def read(folder: Path) -> dict[str, Any]:
    """What is known of the run in a folder.

    Raises:
        UsageError: it has no `run.json` that a run can go on with.
    """
    path = folder / NAME
    try:
        known: dict[str, Any] = _current_names(json.loads(path.read_text(encoding="utf-8")))
        _Record.model_validate(known)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}: start a new run") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: {where}: {first['msg']}: start a new run") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}: start a new run") from None
    return known


def _current_names(data: Any) -> Any:
    """The record with the names of this version; version 0.1 wrote others."""
    if isinstance(data, dict):
        return {
            FORMER_NAMES.get(name, name): value if name == "options" else _current_names(value)
            for name, value in data.items()
        }
    return [_current_names(each) for each in data] if isinstance(data, list) else data


def exists(folder: Path) -> bool:
    """True if there is a record in a run's folder."""
    return (folder / NAME).exists()


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Put the record of a run in its folder.

    Raises:
        OutputError: it cannot be written.
    """
    atomic.write_text(folder / NAME, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def environment() -> dict[str, str | None]:
    """What runs here: versions of llmbench and its interpreter, the host."""
    return {
        "llmbench": __version__,
        "git_commit": _commit(),
        "python": platform.python_version(),
        "host": platform.node(),
        "system": platform.platform(),
    }


def utc_now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """The commit of the checkout that runs, with `-dirty` if it was changed; None without one."""
    here = Path(__file__).resolve().parent.parent.parent
    if not (here / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--exclude=*", "--abbrev=40",
             "--dirty"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
