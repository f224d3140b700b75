"""The choice among the parts of an answer: which of them is the code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from llmbench.extraction.blocks import Parts, normalize, split

_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
_LEADING_COMMENTS = re.compile(
    r"\s*(?:(?:(?:#|//|--)[^\n]*|/\*.*?\*/|\"\"\".*?\"\"\"|'''.*?''')\s*)*", re.DOTALL
)
# A sentence, or an item of a list, in the place of a line of code.
_PROSE = re.compile(
    r"[A-Z][\w’'-]*,?(?:(?: [a-z’'-]+,?){2}|(?: \S+)*[.!?:]$)|(?:[-*]|\d+\.) +[A-Z*`]"
)


class ExtractionMethod(StrEnum):
    """The values of the column `extraction`: the place of the code in an answer."""

    FENCE = "fence"  # a fenced block tagged with the language
    FENCE_FITTING = "fence_fitting"  # a fenced block with another tag, or none, whose text fits
    FENCE_UNTAGGED = "fence_untagged"  # a fenced block with no tag, whose text shows no language
    WHOLE_TEXT = "whole_text"  # no block: the answer itself is code
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Extraction:
    """The code of an answer, None if it has none, and the method that found it."""

    code: str | None
    method: ExtractionMethod


def extract(text: str, *, fences: Sequence[str], code_patterns: Sequence[str]) -> Extraction:
    r"""Return the code in an answer: lines that end in \n each, without blank lines around them.

    `fences` are the tags of the language. `code_patterns` are regular expressions; a text in which
    one of them matches fits the language. Reasoning is removed first, closed or not. The code is

    1. the first fenced block of the language, else
    2. the first block whose text fits, whatever its tag, else
    3. the first block without a tag, else
    4. the whole text, if it fits, begins as code and does not end in prose.

    Empty blocks do not count. The time is linear in the text, of which the first
    `blocks.MAX_MARKS` fences count, and as many reasoning tags.
    """
    tags = frozenset(fence.lower() for fence in fences)
    language = _Language(code_patterns)
    parts = split(normalize(text), tags)
    # A prompt may have opened the block; then the first fence of the answer closes it.
    if parts.starts_inside_block and language.is_code(parts.head):
        return Extraction(parts.head + "\n", ExtractionMethod.WHOLE_TEXT)
    return _select(parts, tags, language)


def _select(parts: Parts, tags: frozenset[str], language: "_Language") -> Extraction:
    for block in parts.blocks:
        if block.tag in tags:
            return Extraction(block.code, ExtractionMethod.FENCE)
    for block in parts.blocks:
        if language.fits(block.code):
            return Extraction(block.code, ExtractionMethod.FENCE_FITTING)
    for block in parts.blocks:
        if not block.tag:
            return Extraction(block.code, ExtractionMethod.FENCE_UNTAGGED)
    if not parts.blocks and language.is_code(parts.head):
        return Extraction(parts.head + "\n", ExtractionMethod.WHOLE_TEXT)
    return Extraction(None, ExtractionMethod.NONE)


class _Language:
    """Tells the code of a language from other texts by regular expressions."""

    def __init__(self, code_patterns: Sequence[str]) -> None:
        self._patterns = [re.compile(pattern, re.MULTILINE) for pattern in code_patterns]

    def fits(self, text: str) -> bool:
        """True if any line of the text shows the language."""
        # Without blank lines a pattern that begins with `^\s*` takes linear time too.
        packed = _BLANK_LINES.sub("\n", text)
        return any(pattern.search(packed) for pattern in self._patterns)

    def is_code(self, text: str) -> bool:
        """True if the text is code from its first line to its last."""
        comments = _LEADING_COMMENTS.match(text)
        first_line = text[comments.end() if comments else 0 :].partition("\n")[0]
        last_line = text[text.rfind("\n") + 1 :]
        return (
            any(pattern.match(first_line) for pattern in self._patterns)
            and not _PROSE.match(last_line)
            and self.fits(text)
        )
