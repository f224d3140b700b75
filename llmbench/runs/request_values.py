"""Values of request options: their conversion and checks."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmbench.errors import UsageError
from llmbench.options import Check, strings

MAX_SYSTEM_BYTES = 1024**2
"""Size of a longer file of a system prompt, which no model reads."""


def _matches(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


EFFORT = Check(
    "a word, such as high", lambda value: _matches(r"[A-Za-z][A-Za-z0-9_-]{0,30}", value)
)
LABEL = Check(
    "a name of letters, digits and . _ + = -", lambda value: _matches(r"[\w.+=-]{1,60}", value)
)


def assignments(value: Any) -> tuple[str, ...]:
    """Convert a mapping, one text or several to a tuple of `NAME=VALUE` texts."""
    if isinstance(value, Mapping):
        return tuple(f"{name}={json.dumps(each, default=str)}" for name, each in value.items())
    return strings(value)


def read_text_or_file(value: str) -> str:
    """Return the text of a file of this name, else the value itself.

    Raises:
        UsageError: the value is the name of a file that cannot be read.
    """
    path = Path(value)
    is_path = not re.search(r"\s", value) and re.search(r"[/\\]|\.\w{1,8}$", value)
    try:
        if not path.is_file():
            if is_path:
                raise UsageError(f"system: {value}: no such file")
            return value
        if path.stat().st_size > MAX_SYSTEM_BYTES:
            raise UsageError(f"system: {value}: is larger than {MAX_SYSTEM_BYTES:,} bytes")
        text = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UsageError(f"system: {value}: is not UTF-8") from None
    except OSError as error:
        if not is_path:  # a text too long for the name of a file
            return value
        raise UsageError(f"system: {value}: cannot be read: {error.strerror}") from None
    if not text:
        raise UsageError(f"system: {value}: is empty")
    return text
