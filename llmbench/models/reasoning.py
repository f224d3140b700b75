"""When an answer's own text begins: thoughts that stand in the text are not the answer."""

import re

from llmbench.extraction import REASONING

_OPENING = re.compile(rf"<({REASONING})>", re.IGNORECASE)
_CLOSING = re.compile(rf"</({REASONING})>", re.IGNORECASE)
_LONGEST_TAG = max(len(name) for name in REASONING.split("|")) + len("</>")


class AnswerStartDetector:
    """Hears the pieces of an answer's text with their times; `at` is the first of the answer.

    `at` is None until text comes that is no thought. A section that a tag opens is left out to
    its closing tag; a closing tag whose opening stood in the chat template is known when it comes
    in one piece, as the single token that it is.
    """

    def __init__(self) -> None:
        self.at: float | None = None
        self._held = ""  # text that may yet turn out to be a tag
        self._held_at: float | None = None
        self._thinking = False

    def hear(self, text: str, now: float) -> None:
        """Take in the next piece, which came at `now` in seconds of any clock."""
        if self._thinking:
            self._wait_for_end(text, now)
        elif self.at is None:
            self._wait_for_begin(text, now)
        elif "</" in text and _CLOSING.search(text):
            self._restart(text, now)

    def _wait_for_begin(self, text: str, now: float) -> None:
        held = (self._held + text).lstrip()
        if not held:
            return
        if (opening := _OPENING.match(held)) is not None:
            self._thinking, self._held, self._held_at = True, "", None
            self._wait_for_end(held[opening.end() :], now)
        elif held.startswith("<") and len(held) < _LONGEST_TAG and ">" not in held:
            self._held, self._held_at = held, self._held_at or now
        elif _CLOSING.search(held):
            self._restart(held, now)
        else:
            self.at, self._held = self._held_at or now, ""

    def _wait_for_end(self, text: str, now: float) -> None:
        self._held += text
        if _CLOSING.search(self._held):
            self._restart(self._held, now)
        else:
            self._held = self._held[-_LONGEST_TAG:]

    def _restart(self, text: str, now: float) -> None:
        """What came so far was thought: the answer begins after the closing tag."""
        closing = _CLOSING.search(text)
        assert closing is not None
        self.at, self._held, self._held_at, self._thinking = None, "", None, False
        self.hear(text[closing.end() :], now)
