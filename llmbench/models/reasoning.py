"""Detection of the time at which the answer begins, after reasoning inside its text."""

import re

from llmbench.extraction import REASONING

_OPENING = re.compile(rf"<({REASONING})>", re.IGNORECASE)
_CLOSING = re.compile(rf"</({REASONING})>", re.IGNORECASE)
_LONGEST_TAG = max(len(name) for name in REASONING.split("|")) + len("</>")


class AnswerStartDetector:
    """Finds the first piece of the answer in a streamed text; `started_at` is its time or None.

    A section that a tag opens is skipped up to its closing tag. A closing tag may come alone if the
    chat template contains the opening one. It is recognized only in one piece, which is usual as
    it is a single token.
    """

    def __init__(self) -> None:
        self.started_at: float | None = None
        self._pending = ""  # text that may yet become a tag
        self._pending_at: float | None = None
        self._reasoning = False

    def feed(self, text: str, now: float) -> None:
        """Process the next piece, received at `now` in seconds of any clock."""
        if self._reasoning:
            self._look_for_end(text, now)
        elif self.started_at is None:
            self._look_for_start(text, now)
        elif "</" in text and _CLOSING.search(text):
            self._restart(text, now)

    def _look_for_start(self, text: str, now: float) -> None:
        pending = (self._pending + text).lstrip()
        if not pending:
            return
        if (opening := _OPENING.match(pending)) is not None:
            self._reasoning, self._pending, self._pending_at = True, "", None
            self._look_for_end(pending[opening.end() :], now)
        elif pending.startswith("<") and len(pending) < _LONGEST_TAG and ">" not in pending:
            self._pending, self._pending_at = pending, self._pending_at or now
        elif _CLOSING.search(pending):
            self._restart(pending, now)
        else:
            self.started_at, self._pending = self._pending_at or now, ""

    def _look_for_end(self, text: str, now: float) -> None:
        self._pending += text
        if _CLOSING.search(self._pending):
            self._restart(self._pending, now)
        else:
            self._pending = self._pending[-_LONGEST_TAG:]

    def _restart(self, text: str, now: float) -> None:
        """Begin anew after a closing tag: the text before it was reasoning."""
        closing = _CLOSING.search(text)
        assert closing is not None
        self.started_at, self._pending, self._pending_at, self._reasoning = None, "", None, False
        self.feed(text[closing.end() :], now)
