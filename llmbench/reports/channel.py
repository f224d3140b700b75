"""Standard output and standard error as channels that may break without ending the work.

Imports nothing slow.
"""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO, cast

_ASCII = {
    "–": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "×": "x",
    "±": "+-",
    "·": ".",
    "─": "-",
    "’": "'",
    "█": "#",
}
"""Characters that llmbench itself prints, with their form where an encoding lacks them."""

_ERRORS = "llmbench.plain"


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace the characters that an encoding lacks: a codec error handler."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    plain = (_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in characters)
    return "".join(plain), error.end


codecs.register_error(_ERRORS, _plain)


class Channel(io.TextIOBase):
    """Writes to a stream as long as that works, and never raises.

    `error` is the error that broke the stream. A character that the stream's encoding lacks is
    written in ASCII: one of our own as its like, another as an escape. Without a stream, because
    its descriptor is closed, all text is dropped.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.error: Exception | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute in the base class
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """True if the stream is a terminal."""
        try:
            return self._stream is not None and self._stream.isatty()
        except (OSError, ValueError):
            return False

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return super().fileno() if self._stream is None else self._stream.fileno()

    def writable(self) -> bool:
        """True, also when the stream is broken."""
        return True

    def write(self, text: str) -> int:
        """Write text, or drop it if the stream is broken."""
        if self._stream is not None and self.error is None:
            try:
                self._write(self._stream, text)
            except (OSError, ValueError) as error:
                self.error = error
        return len(text)

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            stream.write(text.encode(self.encoding, _ERRORS).decode(self.encoding))

    def flush(self) -> None:
        """Hand everything to the system."""
        try:
            if self._stream is not None and self.error is None:
                self._stream.flush()
        except (OSError, ValueError) as error:
            self.error = error

    def discard(self) -> None:
        """Drop what a broken stream still holds, on which the end of the process would fail."""
        if self.error is not None:
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())


def channel_of(stream: TextIO | Channel | None) -> Channel:
    """Return a stream as a channel."""
    return stream if isinstance(stream, Channel) else Channel(stream)


@contextmanager
def standard_channels() -> Iterator[tuple[Channel, Channel]]:
    """Put channels in the place of `sys.stdout` and `sys.stderr`, and yield them."""
    _fill_closed_descriptors()
    before = sys.stdout, sys.stderr
    channels = channel_of(sys.stdout), channel_of(sys.stderr)
    sys.stdout, sys.stderr = cast("tuple[TextIO, TextIO]", channels)
    try:
        yield channels
    finally:
        sys.stdout, sys.stderr = before


def _fill_closed_descriptors() -> None:
    """Open the null device where a standard descriptor is closed.

    Else a file of ours gets the number, and another program writes its messages into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
