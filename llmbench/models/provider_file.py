"""The file in which users describe providers and languages of their own (`llmbench.yaml`)."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from llmbench import yaml_files
from llmbench.models.extra_fields import (
    refuse_other_than_json,
    refuse_own_fields,
    refuse_secrets,
)
from llmbench.models.protocols import PROTOCOLS

_Parameter = Literal[
    "stream_options",
    "stream",
    "max_tokens",
    "temperature",
    "seed",
    "top_p",
    "top_k",
    "min_p",
    "reasoning_effort",
]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,40}$")]


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
        AfterValidator(refuse_secrets),
        AfterValidator(refuse_other_than_json),
        AfterValidator(refuse_own_fields),
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
