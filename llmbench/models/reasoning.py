"""Detection of the time at which the answer begins, after reasoning inside its text."""

import re

from llmbench.extraction.reasoning_marks import (
    ANSWER_OPENING,
    ANY_CLOSING,
    LONGEST_MARK,
    ends_mark,
    first_opening,
    may_open,
)


class AnswerStartDetector:
    """Finds the first piece of the answer in a streamed text; `started_at` is its time or None.

    A section that a mark opens is skipped up to its closing mark. A closing mark may come alone if
    the chat template contains the opening one. Pieces may end anywhere, also inside a mark.
    """

    def __init__(self) -> None:
        self.started_at: float | None = None
        self._tail = ""  # the end of the text, with which a mark may have begun
        self._at_start = True  # the tail is the whole text, and may become an opening mark
        self._closing: re.Pattern[str] | None = None  # of the reasoning here

    def feed(self, text: str, now: float) -> None:
        """Process the next piece, received at `now` in seconds of any clock."""
        if self._closing is not None:
            self._find_end(self._closing, text, now)
        elif self._at_start:
            self._find_start(text, now)
        else:
            self._find_end(ANY_CLOSING, text, now)

    def _find_start(self, text: str, now: float) -> None:
        self._tail = (self._tail + text).lstrip()
        if (wrapper := ANSWER_OPENING.match(self._tail)) is not None:
            self.started_at, self._tail = None, self._tail[wrapper.end() :].lstrip()
        if not self._tail:
            return
        if self.started_at is None:
            self.started_at = now  # unless the text turns out to begin with a mark
        if (opening := first_opening(self._tail)) is not None:
            rest = self._tail[opening.end :]
            self.started_at, self._tail, self._at_start = None, "", False
            self._closing = opening.closing
            self._find_end(opening.closing, rest, now)
        else:
            self._at_start = may_open(self._tail)
            tail, self._tail = self._tail, ""
            self._find_end(ANY_CLOSING, tail, now)

    def _find_end(self, closing: re.Pattern[str], text: str, now: float) -> None:
        tail = self._tail + text
        # This runs for every token. Without its last character no mark ends in this piece.
        if closing is ANY_CLOSING and not ends_mark(text):
            self._tail = tail[-LONGEST_MARK:]
        elif (match := closing.search(tail)) is not None:
            self._restart(tail[match.end() :], now)
        else:
            self._tail = tail[-LONGEST_MARK:]

    def _restart(self, text: str, now: float) -> None:
        """Begin anew behind a closing mark: the text before it was reasoning."""
        self.started_at, self._tail, self._at_start, self._closing = None, "", True, None
        self._find_start(text, now)
