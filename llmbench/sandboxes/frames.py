"""The lines of a launcher among the output of tests, which is hostile until it is parsed.

A frame is `MARK WORD [FIELD…]` and a newline. The mark is secret and new for each launch, so tests
cannot write a frame; a frame may begin anywhere, since tests may write without newlines.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from llmbench.errors import SandboxError

MAX_FRAME_BYTES = 256
"""Longest frame. A pipe keeps each of them in one piece."""


class Clock(NamedTuple):
    """Seconds since the machine started, and processor seconds, None if they are unknown."""

    up: float
    cpu: float | None


class WarmResult(NamedTuple):
    """The end of a test run in a warm sandbox.

    `oom_kills` counts processes killed for memory in the whole life of the sandbox. `clean` is
    True if nothing of the run remains there.
    """

    exit_code: int
    oom_kills: int
    clean: bool


class Started(NamedTuple):
    """The files are in place and the tests begin."""

    clock: Clock


class Ended(NamedTuple):
    """The tests have ended."""

    clock: Clock


class OomKills(NamedTuple):
    """The number of processes of the tests that the kernel killed for memory."""

    number: int


class ReportEnd(NamedTuple):
    """The report is complete."""


Frame = Started | Ended | OomKills | WarmResult | ReportEnd


def _clock(fields: Sequence[bytes]) -> Clock:
    up, unit, used = fields
    # Version 1 of cgroups gives nanoseconds, version 2 `usage_usec` and microseconds.
    return Clock(float(up), int(used) / (1e6 if unit else 1e9) if used else None)


_CLOCK = rb"([0-9]{1,12}(?:\.[0-9]{1,9})?) ?(usage_usec )?([0-9]{1,18})?"
_GRAMMAR: Mapping[re.Pattern[bytes], Callable[[Sequence[bytes]], Frame]] = {
    re.compile(rb" start " + _CLOCK): lambda fields: Started(_clock(fields)),
    re.compile(rb" end " + _CLOCK): lambda fields: Ended(_clock(fields)),
    re.compile(rb" oom ([0-9]{1,9})"): lambda fields: OomKills(int(fields[0])),
    re.compile(rb" done ([0-9]{1,3}) ([0-9]{1,9}) (clean|soiled)"): lambda fields: WarmResult(
        int(fields[0]), int(fields[1]), fields[2] == b"clean"
    ),
    re.compile(rb" report"): lambda _: ReportEnd(),
}


def parse(line: bytes) -> Frame:
    """Return the frame of a line, without its mark and newline.

    Raises:
        SandboxError: it is none.
    """
    for pattern, make in _GRAMMAR.items():
        if match := pattern.fullmatch(line):
            return make(match.groups())
    raise SandboxError(f"the launcher of the tests wrote an unknown line: {line[:80]!r}")


class FrameReader:
    """Separates the frames of a stream from the bytes around them.

    The first frame has the first of the `marks`, all later ones have the last. Tests that find out
    the first one, which was written before they began, know nothing about the others.
    """

    def __init__(self, *marks: str) -> None:
        """Expect frames with these marks."""
        self._marks = [mark.encode() for mark in marks]
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[bytes | Frame]:
        """Yield the next parts of the stream, in order.

        Raises:
            SandboxError: a line with the mark is no frame.
        """
        self._pending += data
        while (start := self._pending.find(self._marks[0])) >= 0:
            yield self._take(start)
            end = self._pending.find(b"\n", 0, MAX_FRAME_BYTES)
            if end < 0:
                if len(self._pending) < MAX_FRAME_BYTES:
                    return
                raise SandboxError("the launcher of the tests wrote a line without an end")
            line = self._take(end + 1)
            yield parse(line[len(self._marks[0]) : -1])
            del self._marks[:-1]
        # The last bytes may be the beginning of a mark.
        yield self._take(max(0, len(self._pending) - len(self._marks[0]) + 1))

    def rest(self) -> bytes:
        """Return the bytes at the end of the stream that are no frame."""
        rest = self._take(len(self._pending))
        return b"" if rest.startswith(self._marks[0]) else rest

    def _take(self, size: int) -> bytes:
        head, self._pending = self._pending[:size], self._pending[size:]
        return head
