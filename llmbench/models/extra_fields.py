"""Fields of a request that users add in their own words, checked before anything is asked."""

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

_SECRET_NAME = re.compile(
    r"(^|[_-])(api[_-]?key|secret([_-]key)?|passw(or)?d|authorization|bearer|credentials?"
    r"|(access|auth|bearer|id|refresh|session)[_-]?token)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(r"(sk-|Bearer\s)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*")
_LOOKS_LIKE_JSON = re.compile(r"[\[{\"\d-]")

OWN_FIELDS: Mapping[str, str] = {
    "model": "name models with --model or --target",
    "messages": "they are the prompt of each problem",
    "stream": "write `refuses: [stream]` for a server that does not stream",
}
"""Fields of a request that users may not replace, each with the way to what it may be for."""

FLAGS = ("max_tokens", "temperature", "seed", "top_p", "top_k", "min_p", "reasoning_effort")
"""Fields of a request that have an option of their own."""


def refuse_secrets(value: Any) -> Any:
    """Refuse fields that look like a key: they are written to the record of each run.

    Raises:
        ValueError: One does.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if _SECRET_NAME.search(str(name)) or _SECRET_TEXT.match(str(inner)):
                raise ValueError(f"{name} looks like a key; name its variable in key_env instead")
            refuse_secrets(inner)
    elif isinstance(value, list):
        for inner in value:
            refuse_secrets(inner)
    return value


def refuse_other_than_json(value: Any) -> Any:
    """Refuse values that JSON cannot express, which YAML can: dates, sets, bytes, infinity.

    Raises:
        ValueError: There is one.
    """
    match value:
        case float() if not isfinite(value):
            raise ValueError(f"{value} is not a number of JSON")
        case None | str() | bool() | int() | float():
            pass
        case list():
            for inner in value:
                refuse_other_than_json(inner)
        case dict():
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise ValueError(f"the name {name!r} must be text: write it in quotes")
                refuse_other_than_json(inner)
        case _:
            raise ValueError(f"{value} is no value of JSON: write a text in quotes")
    return value


def refuse_own_fields(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse fields of the request that llmbench sets itself.

    Raises:
        ValueError: There is one.
    """
    for name, hint in OWN_FIELDS.items():
        if name in value:
            raise ValueError(f"{name} may not be replaced: {hint}")
    return value


def with_fields(extra: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's body with the fields of `extra` that it lacks, at any depth."""
    merged = {**extra, **body}
    for name, value in body.items():
        other = extra.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            merged[name] = with_fields(other, value)
    return merged


def parse_params(assignments: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of `NAME=VALUE` texts; later ones replace earlier ones.

    A value is JSON, or a text that does not begin like JSON. Dots in a name lead into objects.

    Raises:
        ValueError: A text is no assignment, or its field may not be set so.
    """
    fields: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ValueError(f"{assignment!r} is not NAME=VALUE")
        first, *_ = names = name.split(".")
        if first in FLAGS:
            raise ValueError(f"{first} has an option of its own: --{first.replace('_', '-')}")
        value = _parse_value(name, text)
        for part in reversed(names):
            value = {part: value}
        fields = with_fields(fields, value)
    refuse_other_than_json(refuse_secrets(refuse_own_fields(fields)))
    return fields


def _parse_value(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if _LOOKS_LIKE_JSON.match(text):
            raise ValueError(f"{name}: {text} is not JSON") from None
        return text
