"""The body of a response, whose form shows in its first byte, and the JSON in it."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from llmbench.models.server import TRANSPORT_ERRORS

BLANKS = b" \t\r\n\xef\xbb\xbf"
"""Bytes before the first one that shows the form: blanks and a byte-order mark."""

DONE_CHARS = 16
"""The mark of the end, `[DONE]`, has fewer characters than this, quotes and blanks included."""

_BLANK = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


async def first_bytes(chunks: AsyncIterator[bytes]) -> bytes:
    """Return the start of a body from the byte that shows its form; empty if there is none.

    Some servers send blanks to keep a connection alive.
    """
    async for chunk in chunks:
        if start := chunk.lstrip(BLANKS):
            return start
    return b""


async def rest(chunks: AsyncIterator[bytes], size: int) -> bytes:
    """Return about this many further bytes, or as many as come."""
    body = b""
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) >= size:
                break
    except TRANSPORT_ERRORS:
        pass
    return body


def is_done(data: bytes) -> bool:
    """True for the mark of the end, with blanks or quotes around it."""
    return data.strip(b" \t\"'") == b"[DONE]"


def json_values(text: str) -> tuple[list[Any], str]:
    """Return the JSON values in a text, some servers join several, and the rest that is none."""
    values: list[Any] = []
    end = _skip_blanks(text, 0)
    while end < len(text):
        try:
            value, end = _DECODER.raw_decode(text, end)
        except ValueError:
            break
        values.append(value)
        end = _skip_blanks(text, end)
    return values, text[end:]


def _skip_blanks(text: str, start: int) -> int:
    blanks = _BLANK.match(text, start)
    return blanks.end() if blanks else start
