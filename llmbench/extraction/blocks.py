"""Code blocks of an answer, without its reasoning."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from llmbench.extraction.fences import MARK, Fence, file_in_comment, find_fences, with_fences
from llmbench.extraction.layout import without_blank_ends, without_indent, without_wrapper
from llmbench.extraction.reasoning_marks import ANSWER_OPENING, CLOSING, Mark, find_marks

MAX_MARKS = 10_000
"""Most fences, and most reasoning marks, that are read; an answer with more repeats itself."""

_MARK_BEFORE_FENCE = re.compile(rf"(?:{CLOSING}|{ANSWER_OPENING.pattern})(?=[ \t]*(?:```|~~~))")
_FENCE_BEHIND_CODE = re.compile(r"(?<=[^\s`])`{3,}[ \t]*$", re.MULTILINE)
MARKDOWN_TAGS = frozenset({"markdown", "md", "mdx"})
"""Tags of a block that may hold a whole answer, with blocks of its own."""

# Where a long string or a comment begins or ends. A quoted edge is matched first, to be skipped.
_EDGE = re.compile(
    r"'\"\"\"'|\"'''\"|(?P<quotes>\"\"\"|''')|(?P<comment>^[ \t]*/\*)|\*/", re.MULTILINE
)


class Block(NamedTuple):
    """A code block: its tag, its code, and the name of the file that it stands under.

    The name is empty if it has none.
    """

    tag: str
    code: str
    file: str = ""


class Parts(NamedTuple):
    """The parts of an answer."""

    blocks: list[Block]
    head: str  # the text before the first fence
    starts_inside_block: bool  # the first fence may close a block that the prompt opened


def normalize(text: str, tags: frozenset[str]) -> str:
    r"""Return the text with \n after each line, and with each mark of a block on its own line.

    Tags in brackets, such as `[PYTHON]`, become fences.
    """
    text = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = with_fences(text, tags)
    return _MARK_BEFORE_FENCE.sub(r"\g<0>\n", text) if MARK.search(text) else text


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
                blocks += _blocks(mark, text[mark.line_end + 1 : code_end], tags)
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
    return Parts(blocks, _head("\n".join(head), tags), starts_inside_block)


def _head(text: str, tags: frozenset[str]) -> str:
    """Return the text before the first fence as if it were code."""
    code = without_blank_ends(without_indent(without_wrapper(text), 0))
    first_line, _, rest = code.partition("\n")
    return without_blank_ends(rest) if first_line.strip().lower() in tags else code


def _blocks(fence: Fence, text: str, tags: frozenset[str]) -> Iterator[Block]:
    """Yield the block of a fence if it has code, or the blocks inside a block of Markdown."""
    if fence.tag in MARKDOWN_TAGS and MARK.search(text):
        inner = split(without_indent(text, fence.indent), tags).blocks
        if any(block.tag in tags for block in inner):
            yield from inner
            return
    code = without_blank_ends(without_indent(text, fence.indent))
    first_line, _, rest = code.partition("\n")
    tag = fence.tag
    if first_line.strip().lower() in tags and (not tag or tag in tags):
        tag, code = first_line.strip().lower(), without_blank_ends(rest)
    if code:
        yield Block(tag, code + "\n", fence.file or file_in_comment(code))


class _BlockEnds:
    """Finds the ends of blocks.

    Code may have fences of its own, for example in a docstring. So a fence that may close a block
    ends it only if it

    - has the mark of the opening fence, or a longer one,
    - is not indented deeper than the opening fence,
    - closes no inner block, and
    - is outside long strings and comments.

    If no fence does, the first one that may close a block ends it. Without such a fence it is the
    first one behind code in a line or of any kind, and without that the end of the text.
    """

    def __init__(self, text: str, fences: Sequence[Fence]) -> None:
        self._text = text
        self._fences = fences
        self._careful = True
        self._never_closed: set[str] = set()

    def of(self, opening: int) -> tuple[int, int]:
        """Return where the code ends in the block that a fence opens, and where the block ends.

        A fence with a tag ends a block only to open another.
        """
        end = self._careful_end(opening) if self._careful else None
        if end is None:
            # The search read the whole text in vain. Once only, so that the time stays linear.
            self._careful = False
            end = self._first_closing(opening)
        if end is not None:
            return self._fences[end].line_start, self._fences[end].line_end
        end = next(self._of_same_kind(opening), None)
        before = len(self._text) if end is None else self._fences[end].line_start
        start = self._fences[opening].line_end
        if (behind_code := _FENCE_BEHIND_CODE.search(self._text, start, before)) is not None:
            return behind_code.span()
        if end is None or self._fences[end].may_nest:
            return before, before
        return before, self._fences[end].line_end

    def _first_closing(self, opening: int) -> int | None:
        mark = self._fences[opening].mark
        if mark in self._never_closed:  # the search is made once, so that the time stays linear
            return None
        end = next((n for n in self._following(opening) if self._fences[n].may_close), None)
        if end is None:
            self._never_closed.add(mark)
        return end

    def _of_same_kind(self, opening: int) -> Iterator[int]:
        """Yield the indexes of the later fences of the same character, however long."""
        mark = self._fences[opening].mark[0]
        for index in range(opening + 1, len(self._fences)):
            if self._fences[index].mark[0] == mark:
                yield index

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
