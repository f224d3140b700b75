"""Code blocks of an answer, without its reasoning."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from llmbench.extraction.fences import MARK, Fence, find_fences
from llmbench.extraction.reasoning_marks import CLOSING, Mark, find_marks

MAX_MARKS = 10_000
"""Most fences, and most reasoning marks, that are read; an answer with more repeats itself."""

_CLOSING_BEFORE_FENCE = re.compile(rf"(?:{CLOSING})(?=[ \t]*(?:```|~~~))")
_FENCE_BEHIND_CODE = re.compile(r"(?<=[^\s`])`{3,}[ \t]*$", re.MULTILINE)
# Where a long string or a comment begins or ends. A quoted edge is matched first, to be skipped.
_EDGE = re.compile(
    r"'\"\"\"'|\"'''\"|(?P<quotes>\"\"\"|''')|(?P<comment>^[ \t]*/\*)|\*/", re.MULTILINE
)


class Block(NamedTuple):
    """The tag of a code block, and its code."""

    tag: str
    code: str


class Parts(NamedTuple):
    """The parts of an answer."""

    blocks: list[Block]
    head: str  # the text before the first fence
    starts_inside_block: bool  # the first fence may close a block that the prompt opened


def normalize(text: str) -> str:
    r"""Return the text with \n after each line, and after a reasoning mark before a fence."""
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _CLOSING_BEFORE_FENCE.sub(r"\g<0>\n", text) if MARK.search(text) else text


def split(text: str, tags: frozenset[str]) -> Parts:
    """Return the blocks of a normalized text that have code, and the text before them.

    Reasoning is left out. A reasoning mark inside a block belongs to the code, except for a closing
    mark alone on its line before a fence that opens a block. Then the block is an unclosed draft.
    """
    fences = list(islice(find_fences(text, tags), MAX_MARKS))
    reasoning = islice(find_marks(text), MAX_MARKS)
    marks: list[Fence | Mark] = sorted([*fences, *reasoning], key=itemgetter(0))
    ends = _BlockEnds(text, fences)
    blocks: list[Block] = []
    head: list[str] = []
    first_fence: Fence | None = None
    position = 0  # the end of the last block or reasoning section
    next_fence = 0
    for mark in marks:
        next_fence += isinstance(mark, Fence)
        inside = mark.start < position
        if not inside and first_fence is None:
            head.append(text[position : mark.start])
        if isinstance(mark, Fence):
            if not inside:
                first_fence = first_fence or mark
                code_end, position = ends.of(next_fence - 1)
                code = _without_indent(text[mark.line_end + 1 : code_end], mark.indent)
                if code := _without_blank_ends(code):
                    blocks.append(Block(mark.tag, code + "\n"))
        elif mark.opens:
            if not inside:
                position = mark.reasoning_end
        elif not inside or (
            mark.alone and next_fence < len(fences) and fences[next_fence].may_nest
        ):
            # The prompt opened the reasoning, so all that was read belongs to it.
            blocks, head, first_fence, position = [], [], None, mark.end
    if first_fence is None:
        head.append(text[position:])
    starts_inside_block = first_fence is not None and first_fence.may_close
    return Parts(blocks, _without_blank_ends("\n".join(head)), starts_inside_block)


class _BlockEnds:
    """Finds the ends of blocks.

    Code may have fences of its own, for example in a docstring. So a fence that may close a block
    ends it only if it

    - has the mark of the opening fence, or a longer one,
    - is not indented deeper than the opening fence,
    - closes no inner block, and
    - is outside long strings and comments.

    If no fence does, the first one that may close a block ends it. Without such a fence it is the
    first one behind code in a line, and without that the end of the text.
    """

    def __init__(self, text: str, fences: Sequence[Fence]) -> None:
        self._text = text
        self._fences = fences
        self._careful = True

    def of(self, opening: int) -> tuple[int, int]:
        """Return where the code ends in the block that a fence opens, and where the block ends."""
        end = self._careful_end(opening) if self._careful else None
        if end is None:
            # The search read the whole text in vain. Once only, so that the time stays linear.
            self._careful = False
            end = next((n for n in self._following(opening) if self._fences[n].may_close), None)
        if end is not None:
            return self._fences[end].line_start, self._fences[end].line_end
        behind_code = _FENCE_BEHIND_CODE.search(self._text, self._fences[opening].line_end)
        return behind_code.span() if behind_code else (len(self._text), len(self._text))

    def _following(self, opening: int) -> Iterator[int]:
        """Yield the indexes of the later fences whose mark is as long."""
        mark = self._fences[opening].mark
        for index in range(opening + 1, len(self._fences)):
            if self._fences[index].mark.startswith(mark):
                yield index

    def _careful_end(self, opening: int) -> int | None:
        position = self._fences[opening].line_end
        inner_blocks = 0
        terminator: str | None = None  # of the long string or comment at this position
        for index in self._following(opening):
            fence = self._fences[index]
            for edge in _EDGE.finditer(self._text, position, fence.line_start):
                if terminator is None:
                    terminator = "*/" if edge["comment"] else edge["quotes"]
                elif terminator == edge[0]:
                    terminator = None
            position = fence.line_start
            if fence.may_nest:
                inner_blocks += 1
            elif fence.may_close and inner_blocks:
                inner_blocks -= 1
            elif (
                fence.may_close
                and terminator is None
                and fence.indent <= self._fences[opening].indent
            ):
                return index
        return None


def _without_indent(code: str, indent: int) -> str:
    """Return the code without the indent of its fence, as far as the first line has it too."""
    first_line = code.lstrip("\n")
    indent = min(indent, len(first_line) - len(first_line.lstrip(" \t")))
    if not indent:
        return code
    lines = code.split("\n")
    return "\n".join(line[min(indent, len(line) - len(line.lstrip())) :] for line in lines)


def _without_blank_ends(code: str) -> str:
    """Return the code without blank lines around it and without a newline at its end."""
    begin = len(code) - len(code.lstrip())
    return code[code.rfind("\n", 0, begin) + 1 :].rstrip()
