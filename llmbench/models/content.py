"""Text and reasoning in the forms of content that servers send: texts, objects, lists of parts."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple

TEXT_FIELDS = ("text", "content", "value", "parts", "output_text", "refusal", "summary")
"""Fields of a part that hold its text, or further parts."""

REASONING_FIELDS = ("thinking", "reasoning_text", "thoughts", "thought", "reasoning_details")
"""Further fields of a delta that hold reasoning, after `reasoning_content` and `reasoning`."""

QUIET_FIELDS = frozenset({"role", "content", "refusal", "name", "id", "index", "type"})
"""Fields of a delta that alone do not show the model at work; any other field with a value does."""

REPEAT_CHARS = 40
"""A piece as long as this that begins with all text before it repeats that text."""

_REASONING_TYPE = re.compile(r"think|reason|thought", re.IGNORECASE)
_OTHER_TYPE = re.compile(r"signature|encrypted|redacted|refer|cit|tool|function|image|audio", re.I)
"""Types of parts that hold no text of the answer."""


class Content(NamedTuple):
    """The text and the reasoning in some content; `unread` if a part of it has an unknown form."""

    text: str = ""
    reasoning: str = ""
    unread: bool = False


def parse_content(value: Any) -> Content:
    """Return the text in content of any form."""
    if isinstance(value, str):
        return Content(value)
    if isinstance(value, list):
        parts = [parse_content(part) for part in value]
        return Content(
            "".join(part.text for part in parts),
            "".join(part.reasoning for part in parts),
            any(part.unread for part in parts),
        )
    if isinstance(value, Mapping):
        return _parse_part(value)
    return Content(unread=value is not None)


def reasoning_text(value: Any) -> str:
    """Return all text in reasoning of any form."""
    content = parse_content(value)
    return content.reasoning + content.text


def other_reasoning(delta: Mapping[str, Any]) -> str:
    """Return the reasoning in a delta under one of the rarer names, or an empty text."""
    texts = (reasoning_text(delta[name]) for name in REASONING_FIELDS if delta.get(name))
    return next(filter(None, texts), "")


def is_active(delta: Mapping[str, Any]) -> bool:
    """True if a delta without text shows the model at work: tool calls, encrypted reasoning."""
    return not delta.get("role") and any(
        value for name, value in delta.items() if name not in QUIET_FIELDS
    )


def joined(pieces: list[str]) -> str:
    """Join the text; a character that was escaped in two halves, one per chunk, is restored."""
    text = "".join(_without_repeats(pieces))
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _without_repeats(pieces: list[str]) -> list[str]:
    """Return the pieces of a text, or the last alone if it, or each, repeats all text before it."""
    if len(pieces) < 3 or len(pieces[-1]) < REPEAT_CHARS:
        return pieces
    last = pieces[-1]
    if last.strip() == "".join(pieces[:-1]).strip():
        return [last]
    return [last] if all(b.startswith(a) for a, b in pairwise(pieces)) else pieces


def _parse_part(part: Mapping[str, Any]) -> Content:
    type_ = str(part.get("type") or "")
    reasoning = other_reasoning(part)
    inner = next((part[name] for name in TEXT_FIELDS if part.get(name)), None)
    content = parse_content(inner)
    if _REASONING_TYPE.search(type_) or part.get("thought") is True:
        return Content("", content.reasoning + content.text or reasoning)
    known = reasoning or inner is not None or "text" in part or _OTHER_TYPE.search(type_)
    return Content(content.text, content.reasoning + reasoning, content.unread or not known)
