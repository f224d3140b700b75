"""Fences of Markdown code blocks, as models write them."""

import re
from collections.abc import Iterator
from typing import NamedTuple

MARK = re.compile(r"`{3}|~{3}")
"""The beginning of any fence."""

# `[\s\u200b]` is a blank: models write non-breaking and zero-width spaces too.
_FENCE = re.compile(
    r"(?P<indent>[\s\u200b]*(?P<list_item>(?:[-*+]|\d{1,3}[.)])[ \t]+)?)"
    r"(?P<mark>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$"
)
# The tag of "```python", "```{.python}" and "``` python title=x".
_INFO = re.compile(r"[\s\u200b]*(?:\{\s*)?\.?(?P<tag>[\w+#-][\w+#.-]*)")
# A server that misses a stop token writes it behind the last fence.
_NO_INFO = re.compile(r"[\s\u200b]*(?:<\|\w+\|>.*|</s>.*)?$")


class Fence(NamedTuple):
    """A line that opens or closes a block, or would do so outside a block."""

    start: int  # of its mark in the text
    line_start: int
    line_end: int
    indent: int
    mark: str
    tag: str  # in lower case; empty without a tag
    may_close: bool  # a block: the line has nothing but the mark
    may_nest: bool  # opens a block inside a block


def find_fences(text: str, tags: frozenset[str]) -> Iterator[Fence]:
    """Yield the fences of a text; `tags` are the lower-case tags of the language."""
    # A model that repeats itself writes the same line thousands of times.
    parsed_lines: dict[str, Fence | None] = {}
    mark = MARK.search(text)
    while mark:
        line_start = text.rfind("\n", 0, mark.start()) + 1
        line_end = text.find("\n", mark.end())
        line_end = len(text) if line_end < 0 else line_end
        line = text[line_start:line_end]
        if line not in parsed_lines:
            parsed_lines[line] = _parse_line(line, tags)
        if fence := parsed_lines[line]:
            yield fence._replace(
                start=line_start + fence.start, line_start=line_start, line_end=line_end
            )
        mark = MARK.search(text, line_end)


def _parse_line(line: str, tags: frozenset[str]) -> Fence | None:
    """Return the fence of a line, with positions in the line."""
    fence = _FENCE.match(line)
    if fence is None:
        return _fence_behind_prose(line, tags)
    bare = bool(_NO_INFO.match(fence["info"]))
    info = None if bare else _INFO.match(fence["info"])
    tag = info["tag"].lower() if info else ""
    # In a list item, or in a comment such as " * ```", a fence neither closes nor nests.
    plain = not fence["list_item"]
    return Fence(
        start=len(fence["indent"]),
        line_start=0,
        line_end=len(line),
        indent=len(fence["indent"]),
        mark=fence["mark"],
        tag=tag if tag in tags else _suffix_in(tags, tag),
        may_close=bare and plain,
        may_nest=info is not None and plain,
    )


def _fence_behind_prose(line: str, tags: frozenset[str]) -> Fence | None:
    """Return the fence of a line such as "Here it is: ```python"."""
    before, _, tag = line.rpartition("`")
    tag = tag.strip().lower()
    mark = "`" * (len(before) - len(before.rstrip("`")) + 1)
    if tag not in tags or len(mark) < 3:
        return None
    start = len(before) + 1 - len(mark)
    return Fence(start, 0, len(line), 0, mark, tag, may_close=False, may_nest=False)


def _suffix_in(tags: frozenset[str], tag: str) -> str:
    """Return "py" for "solution.py" if it is a tag of the language, else the tag itself."""
    suffix = tag.rpartition(".")[2]
    return suffix if suffix in tags else tag
