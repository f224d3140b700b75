"""Tags that models put around their reasoning."""

import re
from collections.abc import Iterator
from typing import NamedTuple

REASONING = "think|thinking|thought|reasoning|reflection"
"""Names of the tags, as a regular expression."""

_NAMES = rf"(?:seed:)?(?:{REASONING})"
_OPEN = (
    rf"(?i:<{_NAMES}>)|\[THINK\]|◁think▷"
    r"|<\|channel\|>(?:analysis|commentary)[^<\n]*<\|message\|>"
)
CLOSE = rf"(?i:</{_NAMES}>)|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>"
"""A tag that closes, as a regular expression."""

_ANY = re.compile(rf"{_OPEN}|{CLOSE}")
# A match of a whole string skips the tags in it. An apostrophe inside a word begins no string.
_STRING_OR_TAG = re.compile(
    r"\"[^\"\n]*\"|`[^`\n]*`|(?:(?<!\w)|(?<=\b[rRbBfFuU]))'[^'\n]*'"
    rf"|(?P<open>{_OPEN})|(?P<close>{CLOSE})"
)
# Reasoning has quotes without an end, so strings count for nothing here, only quotes at the tag.
_UNQUOTED_CLOSE = re.compile(rf"(?<![\"'`])(?:{CLOSE})|(?:{CLOSE})(?![\"'`])")


class Tag(NamedTuple):
    """A tag at `start` to `end` of a text, which `opens` or closes reasoning."""

    start: int
    end: int
    opens: bool
    alone: bool  # on its line


def find_tags(text: str) -> Iterator[Tag]:
    """Yield the tags outside strings.

    A closing tag with text on both sides in its line is left out: prose that names it.
    """
    if not _ANY.search(text):
        return
    for match in _STRING_OR_TAG.finditer(text):
        if not (match["open"] or match["close"]):
            continue
        start, end = match.span()
        begins_line = start == 0 or text[start - 1] == "\n"
        ends_line = end == len(text) or text[end] == "\n"
        if match["open"] or begins_line or ends_line:
            yield Tag(start, end, bool(match["open"]), begins_line and ends_line)


def end_of_reasoning(text: str, start: int) -> int:
    """Return where reasoning ends whose opening tag ends at `start`; unclosed, it is the rest."""
    closing = _UNQUOTED_CLOSE.search(text, start)
    return closing.end() if closing else len(text)
