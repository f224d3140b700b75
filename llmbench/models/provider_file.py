"""The file in which users describe providers and languages of their own (`llmbench.yaml`)."""

import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from llmbench import yaml_files
from llmbench.models.protocols import PROTOCOLS

_Parameter = Literal["stream_options", "stream", "max_tokens", "temperature", "seed"]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,40}$")]
_SECRET_NAME = re.compile(
    r"(^|[_-])(api[_-]?key|secret([_-]key)?|passw(or)?d|authorization|bearer|credentials?"
    r"|(access|auth|bearer|id|refresh|session)[_-]?token)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(r"(sk-|Bearer\s)", re.IGNORECASE)


def _refuse_secrets(value: Any) -> Any:
    """Refuse parameters that look like a key: they are written to the record of each run."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if _SECRET_NAME.search(str(name)) or _SECRET_TEXT.match(str(inner)):
                raise ValueError(f"{name} looks like a key; name its variable in key_env instead")
            _refuse_secrets(inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_secrets(inner)
    return value


def _refuse_other_than_json(value: Any) -> Any:
    """Refuse values that JSON cannot express, which YAML can: dates, sets, bytes, infinity."""
    match value:
        case float() if not isfinite(value):
            raise ValueError(f"{value} is not a number of JSON")
        case None | str() | bool() | int() | float():
            pass
        case list():
            for inner in value:
                _refuse_other_than_json(inner)
        case dict():
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise ValueError(f"the name {name!r} must be text: write it in quotes")
                _refuse_other_than_json(inner)
        case _:
            raise ValueError(f"{value} is no value of JSON: write a text in quotes")
    return value


OWN_FIELDS: Mapping[str, str] = {
    "model": "name models with --model or --target",
    "messages": "they are the prompt of each problem",
    "stream": "write `refuses: [stream]` for a server that does not stream",
}
"""Fields of a request that `extra` may not replace, each with the way to what it may be for."""


def _refuse_own_fields(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse fields of the request that llmbench sets itself."""
    for name, hint in OWN_FIELDS.items():
        if name in value:
            raise ValueError(f"{name} may not be replaced: {hint}")
    return value


def _known_protocol(name: str) -> str:
    if name not in PROTOCOLS:
        raise ValueError(f"there is no protocol {name!r}; known: {', '.join(PROTOCOLS)}")
    return name


class _Entry(BaseModel):
    """One provider; `like` names the provider that gives the fields left out here."""

    model_config = ConfigDict(extra="forbid", strict=True)

    like: str = ""
    base_url: str = ""
    key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] = ""
    local: bool = False
    inspect: bool = True
    protocol: Annotated[str, AfterValidator(_known_protocol)] = ""
    concurrency: Annotated[int, Field(ge=1, le=100_000)] = 1
    rpm: Annotated[float, Field(ge=0.01, le=1e6)] = 1
    tpm: Annotated[float, Field(ge=1, le=1e9)] = 1
    refuses: list[_Parameter] = []
    extra: Annotated[
        dict[str, Any],
        AfterValidator(_refuse_secrets),
        AfterValidator(_refuse_other_than_json),
        AfterValidator(_refuse_own_fields),
    ] = {}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    providers: dict[_Name, _Entry] = {}
    runners: list[Annotated[str, Field(min_length=1)]] = []


_FILE = TypeAdapter(_File)


def read_entries(path: Path) -> dict[str, dict[str, Any]]:
    """Return the fields of each provider in a file, those alone that it sets.

    Raises:
        UsageError: The file cannot be read, or an entry is wrong.
    """
    entries = yaml_files.load_as(path, _FILE).providers
    return {name: entry.model_dump(exclude_unset=True) for name, entry in entries.items()}


def read_runners(path: Path) -> list[str]:
    """Return the folders of languages that a file names.

    Raises:
        UsageError: The file cannot be read, or an entry is wrong.
    """
    return yaml_files.load_as(path, _FILE).runners
