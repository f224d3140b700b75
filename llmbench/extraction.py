"""Answer to code: finds the one file that a model meant, in the text that it wrote (pure)."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

REASONING = "think|thinking|thought|reasoning|reflection"
"""Names of the tags that models put around their reasoning, as a regular expression."""

MOST_MARKS = 10_000
"""Fences, and tags of reasoning, that are read: more stand only where a model repeats itself."""


class ExtractionMethod(StrEnum):
    """How the code was found: the values of the column `extraction`."""

    FENCE = "fence"  # a fenced block tagged with the language
    FENCE_FITTING = "fence_fitting"  # a fenced block with another tag, or none, whose text fits
    FENCE_UNTAGGED = "fence_untagged"  # a fenced block with no tag, whose text shows no language
    WHOLE_TEXT = "whole_text"  # no block: the answer itself is code
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Extraction:
    """The code, or None where there is none, and how it was found."""

    code: str | None
    method: ExtractionMethod


def extract(text: str, *, fences: Sequence[str], code_patterns: Sequence[str]) -> Extraction:
    """The code in an answer, with lines that end in a newline each, and no blank lines around it.

    `fences` are the tags of the language; `code_patterns` are regular expressions, any of which shows
    that a text is code of the language. Reasoning sections are removed first, closed or not. Then
    it is the first fenced block of the language; else of the blocks with no tag or whose text
    fits, the first that fits, or the first; else the whole text if it fits, begins as code and
    does not end in prose. Blocks that hold nothing are passed over. Takes time linear in the text,
    of which the first `MOST_MARKS` fences and as many tags of reasoning count.
    """
    tags = frozenset(fence.lower() for fence in fences)
    patterns = [re.compile(sign, re.MULTILINE) for sign in code_patterns]

    def fits(code: str) -> bool:
        # Without blank lines a sign that begins `^\s*` takes linear time too.
        packed = _BLANK_LINES.sub("\n", code)
        return any(pattern.search(packed) for pattern in patterns)

    def is_code(prose: str) -> bool:
        start = _LEADING_COMMENTS.match(prose)
        first = prose[start.end() if start else 0 :].partition("\n")[0]
        last = prose[prose.rfind("\n") + 1 :]
        return (
            any(pattern.match(first) for pattern in patterns)
            and not _PROSE.match(last)
            and fits(prose)
        )

    parts = _parts(_normalised(text), tags)
    # A prompt may have opened the block; then the first fence of the answer is the closing one.
    if parts.bare_first and is_code(parts.head):
        return Extraction(parts.head + "\n", ExtractionMethod.WHOLE_TEXT)
    return _best(parts, tags, fits, is_code)


class _Block(NamedTuple):
    tag: str
    code: str


class _Parts(NamedTuple):
    blocks: list[_Block]
    head: str  # what stands before the first fence
    bare_first: bool  # whether the first fence has no tag


def _best(
    parts: _Parts,
    tags: frozenset[str],
    fits: Callable[[str], bool],
    is_code: Callable[[str], bool],
) -> Extraction:
    for block in parts.blocks:
        if block.tag in tags:
            return Extraction(block.code, ExtractionMethod.FENCE)
    for block in parts.blocks:
        if fits(block.code):
            return Extraction(block.code, ExtractionMethod.FENCE_FITTING)
    for block in parts.blocks:
        if not block.tag:
            return Extraction(block.code, ExtractionMethod.FENCE_UNTAGGED)
    if not parts.blocks and is_code(parts.head):
        return Extraction(parts.head + "\n", ExtractionMethod.WHOLE_TEXT)
    return Extraction(None, ExtractionMethod.NONE)


_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
_LEADING_COMMENTS = re.compile(
    r"\s*(?:(?:(?:#|//|--)[^\n]*|/\*.*?\*/|\"\"\".*?\"\"\"|'''.*?''')\s*)*", re.DOTALL
)
# A sentence, or an item of a list, where a line of code would stand.
_PROSE = re.compile(
    r"[A-Z][\w’'-]*,?(?:(?: [a-z’'-]+,?){2}|(?: \S+)*[.!?:]$)|(?:[-*]|\d+\.) +[A-Z*`]"
)


def _normalised(text: str) -> str:
    """The text with its lines ended by newlines, and a fence behind a tag on a line of its own."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _GLUED_TO_CLOSING.sub(r"\g<0>\n", text) if _MARK.search(text) else text


# ---- Reasoning -----------------------------------------------------------------------------

_NAMES = rf"(?:seed:)?(?:{REASONING})"
_OPEN = (
    rf"(?i:<{_NAMES}>)|\[THINK\]|◁think▷"
    r"|<\|channel\|>(?:analysis|commentary)[^<\n]*<\|message\|>"
)
_CLOSE = rf"(?i:</{_NAMES}>)|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>"
_GLUED_TO_CLOSING = re.compile(rf"(?:{_CLOSE})(?=[ \t]*(?:```|~~~))")
_TAG = re.compile(rf"{_OPEN}|{_CLOSE}")
# Strings are passed over, so that a tag in one is not a tag; an apostrophe begins no string.
_TAG_OUTSIDE_STRINGS = re.compile(
    r"\"[^\"\n]*\"|`[^`\n]*`|(?:(?<!\w)|(?<=\b[rRbBfFuU]))'[^'\n]*'"
    rf"|(?P<open>{_OPEN})|(?P<close>{_CLOSE})"
)
# Reasoning quotes anything, with or without an end: only a tag that is itself quoted is none.
_END_OF_REASONING = re.compile(rf"(?<![\"'`])(?:{_CLOSE})|(?:{_CLOSE})(?![\"'`])")


class _Tag(NamedTuple):
    start: int
    end: int
    opens: bool
    alone: bool  # on its line


def _reasoning_tags(text: str) -> Iterator[_Tag]:
    """The tags outside strings; not those in the midst of a line that close, prose names them."""
    if not _TAG.search(text):
        return
    for tag in _TAG_OUTSIDE_STRINGS.finditer(text):
        if not (tag["open"] or tag["close"]):
            continue
        start, end = tag.span()
        begins = start == 0 or text[start - 1] == "\n"
        ends = end == len(text) or text[end] == "\n"
        if tag["open"] or begins or ends:
            yield _Tag(start, end, bool(tag["open"]), begins and ends)


# ---- Fences --------------------------------------------------------------------------------

_MARK = re.compile(r"`{3}|~{3}")
# A blank is any but a newline; models write non-breaking and zero-width ones too.
_FENCE = re.compile(
    r"(?P<indent>[\s\u200b]*(?P<item>(?:[-*+]|\d{1,3}[.)])[ \t]+)?)"
    r"(?P<mark>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$"
)
_INFO = re.compile(r"[\s\u200b]*(?:\{\s*)?\.?(?P<tag>[\w+#-][\w+#.-]*)")
# A server that misses a stop token writes it behind the last fence.
_NO_INFO = re.compile(r"[\s\u200b]*(?:<\|\w+\|>.*|</s>.*)?$")
_GLUED_END = re.compile(r"(?<=[^\s`])`{3,}[ \t]*$", re.MULTILINE)
# The edges of long strings and comments; a quoted edge comes first, to be passed over.
_EDGE = re.compile(
    r"'\"\"\"'|\"'''\"|(?P<quotes>\"\"\"|''')|(?P<comment>^[ \t]*/\*)|\*/", re.MULTILINE
)


class _Fence(NamedTuple):
    start: int  # of its mark in the text
    line: int  # start of its line
    end: int  # end of its line
    indent: int
    mark: str
    tag: str
    bare: bool  # may close a block
    nests: bool  # may open a block within a block


def _fences(text: str, tags: frozenset[str]) -> Iterator[_Fence]:
    """Every line that opens or closes a block, or would if it stood outside one."""
    known: dict[str, _Fence | None] = {}
    found = _MARK.search(text)
    while found:
        start = text.rfind("\n", 0, found.start()) + 1
        end = text.find("\n", found.end())
        end = len(text) if end < 0 else end
        line = text[start:end]
        if line not in known:
            known[line] = _fence(line, tags)
        if fence := known[line]:
            yield _Fence(start + fence.start, start, end, *fence[3:])
        found = _MARK.search(text, end)


def _fence(line: str, tags: frozenset[str]) -> _Fence | None:
    """The fence in a line, placed as if the text were that line."""
    if fence := _FENCE.match(line):
        bare = bool(_NO_INFO.match(fence["info"]))
        named = None if bare else _INFO.match(fence["info"])
        tag = named["tag"].lower() if named else ""
        plain = not fence["item"]  # a comment such as " * ```" nests nothing
        return _Fence(
            start=len(fence["indent"]),
            line=0,
            end=len(line),
            indent=len(fence["indent"]),
            mark=fence["mark"],
            tag=tag if tag in tags else _suffix_in(tags, tag),
            bare=bare and plain,
            nests=named is not None and plain,
        )
    # Behind prose, as in "Here it is: ```python".
    before, _, tag = line.rpartition("`")
    tag = tag.strip().lower()
    mark = "`" * (len(before) - len(before.rstrip("`")) + 1)
    if tag in tags and len(mark) >= 3:
        start = len(before) + 1 - len(mark)
        return _Fence(start, 0, len(line), 0, mark, tag, bare=False, nests=False)
    return None


def _suffix_in(tags: frozenset[str], tag: str) -> str:
    """The language of a file name that stands where the tag should, or the tag."""
    suffix = tag.rpartition(".")[2]
    return suffix if suffix in tags else tag


# ---- Blocks --------------------------------------------------------------------------------


def _parts(text: str, tags: frozenset[str]) -> _Parts:
    """The blocks of an answer, in order, that hold anything; reasoning removed.

    A tag of reasoning within a block belongs to the code. But where it closes reasoning, stands
    alone on its line and the next fence opens a block, the block was a draft never closed.
    """
    fences = list(islice(_fences(text, tags), MOST_MARKS))
    thoughts = islice(_reasoning_tags(text), MOST_MARKS)
    marks: list[_Fence | _Tag] = sorted([*fences, *thoughts], key=itemgetter(0))
    ends = _Ends(text, fences)
    blocks: list[_Block] = []
    head: list[str] = []
    first: _Fence | None = None
    at = 0
    seen = 0
    for mark in marks:
        seen += isinstance(mark, _Fence)
        inside = mark.start < at
        if not inside and first is None:
            head.append(text[at : mark.start])
        if isinstance(mark, _Tag):
            if mark.opens and not inside:
                closing = _END_OF_REASONING.search(text, mark.end)
                at = closing.end() if closing else len(text)
            elif not mark.opens and (
                not inside or (mark.alone and seen < len(fences) and fences[seen].nests)
            ):
                blocks, head, first, at = [], [], None, mark.end
        elif not inside:
            first = first or mark
            stop, at = ends.of(seen - 1)
            if code := _trimmed(_without_indent(text[mark.end + 1 : stop], mark.indent)):
                blocks.append(_Block(mark.tag, code + "\n"))
    if first is None:
        head.append(text[at:])
    return _Parts(blocks, _trimmed("\n".join(head)), first is not None and first.bare)


class _Ends:
    """Where blocks end.

    Code may hold fences of its own, in a docstring for example. So a bare fence as long as the
    opening ends a block only when it is not indented deeper than the opening, closes no inner
    fence that has an info string, and stands outside long strings and comments. Where no fence
    does, the first bare one ends the block, else a fence glued to a line, else the text.
    """

    def __init__(self, text: str, fences: Sequence[_Fence]) -> None:
        self._text = text
        self._fences = fences
        self._careful = True

    def of(self, opening: int) -> tuple[int, int]:
        """Where the content of the block ends that a fence opens, and where reading goes on."""
        end = self._careful_end(opening) if self._careful else None
        if end is None:
            # The text was read to its end in vain: only once, to stay linear.
            self._careful = False
            end = next((n for n in self._following(opening) if self._fences[n].bare), None)
        if end is not None:
            return self._fences[end].line, self._fences[end].end
        glued = _GLUED_END.search(self._text, self._fences[opening].end)
        return glued.span() if glued else (len(self._text), len(self._text))

    def _following(self, opening: int) -> Iterator[int]:
        mark = self._fences[opening].mark
        for number in range(opening + 1, len(self._fences)):
            if self._fences[number].mark.startswith(mark):
                yield number

    def _careful_end(self, opening: int) -> int | None:
        at = self._fences[opening].end
        inner = 0
        closer: str | None = None  # of the long string or comment that is open
        for number in self._following(opening):
            fence = self._fences[number]
            for edge in _EDGE.finditer(self._text, at, fence.line):
                if closer is None:
                    closer = "*/" if edge["comment"] else edge["quotes"]
                elif closer == edge[0]:
                    closer = None
            at = fence.line
            if fence.nests:
                inner += 1
            elif fence.bare and inner:
                inner -= 1
            elif fence.bare and closer is None and fence.indent <= self._fences[opening].indent:
                return number
        return None


def _without_indent(code: str, indent: int) -> str:
    """The code without the indent of its fence, where the code shares it."""
    first = code.lstrip("\n")
    indent = min(indent, len(first) - len(first.lstrip(" \t")))
    if not indent:
        return code
    lines = code.split("\n")
    return "\n".join(line[min(indent, len(line) - len(line.lstrip())) :] for line in lines)


def _trimmed(code: str) -> str:
    """The code without blank lines around it and without a newline at its end."""
    begin = len(code) - len(code.lstrip())
    return code[code.rfind("\n", 0, begin) + 1 :].rstrip()
