"""A decoder of server-sent events that works on bytes and does little per chunk.

It follows the event stream format of the HTML standard (section 9.2) as far as chat completions
use it. Lines end in LF, CRLF or CR; comments and fields other than `data` and `event: error` are
skipped. A character split between two chunks needs no care, because events are bytes. llama.cpp
reported errors in a field `error` until the autumn of 2025; it is read as the `data` that newer
versions send. Some servers separate events by a single line end: a line that is a whole JSON object
is an event of its own.
"""

import json
from typing import Protocol


class Decoder(Protocol):
    """Splits a body into events; `events` counts them."""

    events: int

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of each event that this chunk completes."""
        ...

    def close(self) -> list[bytes]:
        """Return the data of a last event without its end."""
        ...


class EventDecoder:
    """Collects the data of events over the chunks of one stream; `events` counts them."""

    def __init__(self) -> None:
        self.events = 0
        self._tail: list[bytes] = []
        self._data: list[bytes] = []
        self._after_cr = False
        self._is_error = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of each event that this chunk completes."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        lines = chunk.split(b"\n")
        if self._tail or len(lines) == 1:
            self._tail.append(lines[0])
            if len(lines) == 1:
                return []
            lines[0] = b"".join(self._tail)
        last = lines.pop()
        self._tail = [last] if last else []
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                if self._data:
                    self._end_single(events)
                self._data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
            elif not line:
                if self._data:
                    self._end(events)
                self._is_error = False
            elif line.startswith(b"error:"):
                self._data.append(b'{"error":%b}' % line[6:])
            elif line.startswith(b"event:"):
                self._is_error = line[6:].strip() == b"error"
        if self._data and self._data[0].endswith(b"}"):
            self._end_single(events)
        self.events += len(events)
        return events

    def close(self) -> list[bytes]:
        """Return the data of a last event without its blank line, which some servers omit."""
        return self.feed(b"\n\n")

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Return a chunk with LF for CRLF and CR; the two halves may come in different chunks."""
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _end(self, events: list[bytes]) -> None:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        events.append(_as_error(data) if self._is_error else data)
        self._data = []

    def _end_single(self, events: list[bytes]) -> None:
        """End the event if its only line so far cannot be the start of a longer one."""
        if len(self._data) == 1 and not _is_start_of_json(self._data[0]):
            self._end(events)
            self._is_error = False


def _is_start_of_json(data: bytes) -> bool:
    """True if further lines may complete this one to a JSON object or list."""
    if data.lstrip()[:1] not in (b"{", b"[") or data.startswith(b"[DONE"):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return True
    return False


def _as_error(data: bytes) -> bytes:
    """Return the data of an event named `error` in the form of other errors."""
    try:
        error = json.loads(data)
    except (ValueError, RecursionError):
        error = data.decode("utf-8", "replace")
    if isinstance(error, dict) and error.get("error"):
        return data
    return json.dumps({"error": error}).encode()
