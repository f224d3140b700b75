"""A decoder of server-sent events that works on bytes and does little per chunk.

It follows the event stream format of the HTML standard (section 9.2) as far as chat completions
use it. Lines end in LF or CRLF; comments and fields other than `data` are skipped. A character
split between two chunks needs no care, because events are bytes. llama.cpp reported errors in a
field `error` until the autumn of 2025; it is read as the `data` that newer versions send.
"""


class EventDecoder:
    """Collects the data of events over the chunks of one stream; `events` counts them."""

    def __init__(self) -> None:
        self.events = 0
        self._tail = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of each event that this chunk completes."""
        lines = (self._tail + chunk).split(b"\n")
        self._tail = lines.pop()
        events = []
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b" ", 5) else line[5:])
            elif line.startswith(b"error:"):
                self._data.append(b'{"error":%b}' % line[6:])
            elif not line and self._data:
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
        self.events += len(events)
        return events

    def close(self) -> list[bytes]:
        """Return the data of a last event without its blank line, which some servers omit."""
        return self.feed(b"\n\n")
