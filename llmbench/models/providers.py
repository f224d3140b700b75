"""The servers that llmbench knows by name, with those that the user adds in a file."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from llmbench import yaml_files
from llmbench.errors import UsageError
from llmbench.models.presets import PROVIDERS, Provider

USUAL = Path("llmbench.yaml")
"""Read where it is there and no other file is named."""

_Parameter = Literal["stream_options", "max_tokens", "temperature", "seed"]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,40}$")]
_SECRET_NAME = re.compile(
    r"(^|[_-])(api[_-]?key|secret([_-]key)?|passw(or)?d|authorization|bearer|credentials?"
    r"|(access|auth|bearer|id|refresh|session)[_-]?token)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(r"(sk-|Bearer\s)", re.IGNORECASE)


def _without_secrets(value: Any) -> Any:
    """Refuse what looks like a key: parameters are written down with each run."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if _SECRET_NAME.search(str(name)) or _SECRET_TEXT.match(str(inner)):
                raise ValueError(f"{name} looks like a key; name its variable in key_env instead")
            _without_secrets(inner)
    elif isinstance(value, list):
        for inner in value:
            _without_secrets(inner)
    return value


class _Provider(BaseModel):
    """One entry: `like` names the provider whose fields count where this one is silent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    like: str = ""
    base_url: str = ""
    key_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] = ""
    local: bool = False
    concurrency: Annotated[int, Field(ge=1)] = 1
    rpm: Annotated[float, Field(gt=0)] = 1
    tpm: Annotated[float, Field(gt=0)] = 1
    refuses: list[_Parameter] = []
    extra: Annotated[dict[str, Any], AfterValidator(_without_secrets)] = {}


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    providers: dict[_Name, _Provider]


_FILE = TypeAdapter(_File)


def load_providers(path: Path | None) -> dict[str, Provider]:
    """All providers by name; an entry of the file changes the one of its name, or adds one.

    Raises:
        UsageError: the file cannot be read, or an entry is wrong.
    """
    if path is None and not USUAL.exists():
        return dict(PROVIDERS)
    path = path or USUAL
    presets = dict(PROVIDERS)
    for name, entry in yaml_files.load_as(path, _FILE).providers.items():
        like = entry.like or (name if name in presets else "openai-compatible")
        if like not in presets:
            raise UsageError(f"{path}: providers.{name}.like: there is no provider {like!r}")
        given = entry.model_dump(exclude={"like"}, exclude_unset=True)
        if "refuses" in given:
            given["refuses"] = tuple(given["refuses"])
        if given.get("key_env"):
            given["key_required"] = True
        presets[name] = replace(presets[like], name=name, **given)
    return presets


def get_provider(name: str, presets: Mapping[str, Provider]) -> Provider:
    """The provider of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in presets:
        raise UsageError(f"there is no provider {name!r}; known: {', '.join(presets)}")
    return presets[name]
