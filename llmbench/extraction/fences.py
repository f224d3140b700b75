"""Fences of Markdown code blocks, as models write them."""

import re
from collections.abc import Iterator
from functools import lru_cache
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
# A server that misses a stop token writes it behind the last fence, as some models write tags.
_NO_INFO = re.compile(r"[\s\u200b]*(?:</?[\w|].*)?$")
_WORD = re.compile(r"[a-z][a-z0-9+#]{1,14}")
# A sentence behind a closing fence, on its line.
_SENTENCE = re.compile(r"[\s\u200b]*[A-Z][\w'’]*,?(?: [^\s=]+){2,}")
_FILE = r"(?:[\w.-]+/)*[\w-][\w.-]*\.[a-zA-Z]\w{0,4}"
_FILE_IN_INFO = re.compile(rf"(?<![\w./-])(?P<file>{_FILE})\b")
# A line that has a file's name alone, as a heading of the block behind it.
_FILE_IN_HEADING = re.compile(
    rf"[\s#*_>`\d.)-]*(?:file(?:name)?|path)?[\s:*_`]*(?P<file>{_FILE})[\s`*_:]*(?:\([^)]*\))?[\s:*_]*",
    re.IGNORECASE,
)
_FILE_IN_COMMENT = re.compile(
    rf"(?:#|//|/\*|--)+[ \t]*(?:file(?:name)?:[ \t]*)?(?P<file>{_FILE})[ \t]*(?:\*/)?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_MAX_HEADING = 120
"""Maximum length of a line that is a file's name, in characters."""


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
    file: str = ""  # the name of the file that it names


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
                start=line_start + fence.start,
                line_start=line_start,
                line_end=line_end,
                file=fence.file or _file_in_heading(text, line_start),
            )
        mark = MARK.search(text, line_end)


def file_in_comment(code: str) -> str:
    """Return the name of the file that the first line of code names, or an empty text."""
    return _name(_FILE_IN_COMMENT.match(code))


def _file_in_heading(text: str, line_start: int) -> str:
    """Return the name of the file in the line before a fence, which may stand behind a blank line.

    Empty if that line is anything else.
    """
    end = line_start - 1
    if end > 0 and text[end - 1] == "\n":
        end -= 1
    if end <= 0:
        return ""
    start = max(text.rfind("\n", 0, end) + 1, end - _MAX_HEADING)
    return _name(_FILE_IN_HEADING.fullmatch(text, start, end))


def _name(match: re.Match[str] | None) -> str:
    return match["file"].rpartition("/")[2] if match else ""


@lru_cache
def _bracketed(tags: frozenset[str]) -> re.Pattern[str]:
    names = "|".join(sorted(re.escape(tag.upper()) for tag in tags))
    return re.compile(
        rf"(?<!\w)\[(?P<tag>{names})\][ \t]*\n?(?P<code>.*?)\n?[ \t]*\[/(?P=tag)\]"
        rf"|^\[(?P<opening>{names})\][ \t]*$|^[ \t]*\[/(?:{names})\][ \t]*$",
        re.DOTALL | re.MULTILINE,
    )


def with_fences(text: str, tags: frozenset[str]) -> str:
    """Return a text whose tags in brackets, such as `[PYTHON]` and `[/PYTHON]`, are fences."""
    if not any(f"[{tag.upper()}]" in text or f"[/{tag.upper()}]" in text for tag in tags):
        return text

    def fence(match: re.Match[str]) -> str:
        if match["tag"] is None:
            return f"```{(match['opening'] or '').lower()}"
        code = match["code"]
        return f"\n{code}\n" if MARK.search(code) else f"\n```{match['tag'].lower()}\n{code}\n```\n"

    return _bracketed(tags).sub(fence, text)


def _parse_line(line: str, tags: frozenset[str]) -> Fence | None:
    """Return the fence of a line, with positions in the line."""
    fence = _FENCE.match(line)
    if fence is None:
        return _fence_behind_prose(line, tags)
    bare = bool(_NO_INFO.match(fence["info"]) or _SENTENCE.match(fence["info"]))
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
        file="" if bare else _name(_FILE_IN_INFO.search(fence["info"])),
    )


def _fence_behind_prose(line: str, tags: frozenset[str]) -> Fence | None:
    """Return the fence of a line such as "Here it is: ```python"."""
    before, _, tag = line.rpartition("`")
    tag = tag.strip().lower()
    prose = before.rstrip("`")
    mark = "`" * (len(before) - len(prose) + 1)
    # Another language's tag counts only if the line has no other code.
    opens = tag in tags or (_WORD.fullmatch(tag) and "`" not in prose)
    if not opens or len(mark) < 3:
        return None
    start = len(before) + 1 - len(mark)
    return Fence(start, 0, len(line), 0, mark, tag, may_close=False, may_nest=False)


def _suffix_in(tags: frozenset[str], tag: str) -> str:
    """Return "py" for "solution.py" if it is a tag of the language, else the tag itself."""
    suffix = tag.rpartition(".")[2]
    return suffix if suffix in tags else tag
