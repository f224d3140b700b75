"""Answer to code: finds the one file that a model meant, in the text that it wrote (pure)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

REASONING = r"think|thinking|thought|reasoning|reflection"

_OPENING = re.compile(rf"[ \t]*<({REASONING})>", re.IGNORECASE)
_CLOSING = re.compile(rf"</({REASONING})>", re.IGNORECASE)
_ANY_OPENING = re.compile(rf"<({REASONING})>", re.IGNORECASE)
# A closing tag whose opening stood in the chat template: at the end of a line, outside quotes.
_STRAY_CLOSING = re.compile(rf"^[^\n\"'`]*</({REASONING})>[ \t]*$", re.IGNORECASE | re.MULTILINE)

_FENCE = re.compile(
    r"(?P<indent>[ \t]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?)(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$"
)
_GLUED_FENCE = re.compile(r"[^`]*[^`\s](?P<mark>`{3,})(?P<info>[\w+#-]+)[ \t]*$")
_TAG = re.compile(r"\s*\{?\s*\.?(?P<tag>[\w+#-][\w+#.-]*)")
_LONG_STRING = re.compile(r"\"\"\"|'''")
_COMMENT = re.compile(r"#|//|/\*|\"\"\"|'''|--|;")


class Found(StrEnum):
    """How the code was found: the values of the column `extraction`."""

    FENCE = "fence"  # a fenced block tagged with the language
    FENCE_UNTAGGED = "fence_untagged"  # a fenced block with no tag
    FENCE_FITTING = "fence_fitting"  # a fenced block with another tag, or none, whose text fits
    WHOLE_TEXT = "whole_text"  # no fence: the answer itself is code
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Extraction:
    """The code, or None where there is none, and how it was found."""

    code: str | None
    how: Found


@dataclass(frozen=True, slots=True)
class _Block:
    tag: str
    text: str


def extract(text: str, *, fences: Sequence[str], signs: Sequence[str]) -> Extraction:
    """The code in an answer.

    `fences` are the tags of the language; `signs` are regular expressions, any of which shows
    that a text is code of the language. Reasoning sections are removed first, closed or not. Then
    it is the first fenced block of the language; else of the blocks with no tag or whose text
    fits, the first that fits, or the first; else the whole text if it begins as code and fits.
    Takes time linear in the text.
    """
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    tags = {fence.lower() for fence in fences}
    patterns = [re.compile(sign, re.MULTILINE) for sign in signs]

    def fits(code: str) -> bool:
        return any(pattern.search(code) for pattern in patterns)

    answer = without_reasoning(text)
    blocks = [block for block in _blocks(answer, tags) if block.text.strip()]
    for block in blocks:
        if block.tag in tags:
            return Extraction(block.text, Found.FENCE)
    for block in blocks:
        if fits(block.text):
            return Extraction(block.text, Found.FENCE_FITTING)
    for block in blocks:
        if not block.tag:
            return Extraction(block.text, Found.FENCE_UNTAGGED)
    if not blocks and _begins_as_code(answer, patterns) and fits(answer):
        return Extraction(answer.strip("\n").rstrip() + "\n", Found.WHOLE_TEXT)
    return Extraction(None, Found.NONE)


def without_reasoning(text: str) -> str:
    """The text without its reasoning sections; tags inside fenced blocks are left alone."""
    stray = _STRAY_CLOSING.search(text)
    if stray and not _ANY_OPENING.search(text, 0, stray.end()):
        text = text[stray.end() :]
    kept: list[str] = []
    at = 0
    closer: re.Pattern[str] | None = None
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end + 1
        line = text[at:end]
        if closer is not None:
            closer = None if closer.match(line) else closer
        elif opening := _OPENING.match(line):
            closing = _CLOSING.search(text, at + opening.end())
            if closing is None:
                break
            at = closing.end()
            continue
        elif fence := _FENCE.match(line.rstrip("\n")):
            closer = _closer(fence["mark"])
        kept.append(line)
        at = end
    return "".join(kept)


def _closer(mark: str) -> re.Pattern[str]:
    return re.compile(rf"[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t\u00a0]*$")


def _blocks(text: str, tags: set[str]) -> Iterator[_Block]:
    """The fenced blocks in order; one that is never closed reaches to the end.

    A block may hold fences of its own, in a docstring for example. So a bare fence closes it only
    when it is not indented deeper than the opening, closes no inner fence that has an info
    string, and stands outside a long string. Where that leaves a block open to the end, the first
    bare fence closes it, there and from then on.
    """
    lines = text.split("\n")
    strict = True
    at = 0
    while at < len(lines):
        opening = _opening(lines[at], tags)
        if opening is None:
            at += 1
            continue
        indent, mark, tag = opening
        first = at + 1
        end = _strict_end(lines, first, indent, mark) if strict else None
        if end is None:
            loose = _loose_end(lines, first, mark)
            strict = strict and loose is None
            end = len(lines) if loose is None else loose
        yield _Block(tag, _dedented(lines[first:end], indent))
        at = end + 1


def _opening(line: str, tags: set[str]) -> tuple[int, str, str] | None:
    """Indent, fence and tag of a line that opens a block."""
    fence = _FENCE.match(line)
    if fence:
        named = _TAG.match(fence["info"].replace("\u00a0", " "))
        tag = named["tag"].partition(":")[0].lower() if named else ""
        return len(fence["indent"]), fence["mark"], tag
    glued = _GLUED_FENCE.match(line)
    if glued and glued["info"].lower() in tags:
        return 0, glued["mark"], glued["info"].lower()
    return None


def _strict_end(lines: Sequence[str], first: int, indent: int, mark: str) -> int | None:
    closer = _closer(mark)
    inner = 0
    in_string = False
    for number in range(first, len(lines)):
        line = lines[number]
        if mark[0] * 3 in line:
            bare = closer.match(line)
            fence = None if bare else _FENCE.match(line)
            if bare and inner:
                inner -= 1
            elif bare and not in_string and len(line) - len(line.lstrip()) <= indent:
                return number
            elif fence and fence["mark"][0] == mark[0] and fence["info"].strip():
                inner += 1
        if len(_LONG_STRING.findall(line)) % 2:
            in_string = not in_string
    return None


def _loose_end(lines: Sequence[str], first: int, mark: str) -> int | None:
    closer = _closer(mark)
    return next((n for n in range(first, len(lines)) if closer.match(lines[n])), None)


def _dedented(lines: Sequence[str], indent: int) -> str:
    """The lines without the indent of their fence, ending in one newline."""
    cut = [line[min(indent, len(line) - len(line.lstrip())) :] for line in lines]
    return "\n".join(cut).strip("\n").rstrip() + "\n"


def _begins_as_code(text: str, patterns: Sequence[re.Pattern[str]]) -> bool:
    first = next((line for line in text.split("\n") if line.strip()), "")
    return bool(_COMMENT.match(first)) or any(pattern.match(first) for pattern in patterns)
