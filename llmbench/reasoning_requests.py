"""Requests for reasoning, as the parameters of a request express them."""

import json
from collections.abc import Mapping
from typing import Any

_OFF = frozenset({"none", "off", "disabled", "disable", "false", "no"})

_SWITCHES = (
    ("reasoning_effort",),
    ("enable_thinking",),
    ("think",),
    ("thinking",),
    ("thinking", "type"),
    ("reasoning",),
    ("reasoning", "effort"),
    ("reasoning", "enabled"),
    ("chat_template_kwargs", "enable_thinking"),
    ("chat_template_kwargs", "thinking"),
    ("chat_template_kwargs", "reasoning_effort"),
)
"""Fields of requests that turn reasoning on or off, each as a path of names."""


def reasoning_request(effort: str | None, params: str | None) -> tuple[str, bool] | None:
    """Return the parameter that asks for reasoning and whether it asks for some, or for none.

    `effort` is the reasoning effort, `params` further fields of the request as JSON. None if
    neither says anything about reasoning.
    """
    fields = json.loads(params) if params else {}
    if effort is not None:
        fields = {**fields, "reasoning_effort": effort}
    for path in _SWITCHES:
        value = _value(fields, path)
        if isinstance(value, bool | str):
            words = value if isinstance(value, str) else json.dumps(value)
            return f"{'.'.join(path)} {words}", words.lower() not in _OFF
    return None


def _value(fields: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        fields = fields.get(name) if isinstance(fields, Mapping) else None
    return fields
