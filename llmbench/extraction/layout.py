"""The layout of code in an answer: its indent, the blank lines and the wrapper around it."""

import re
from itertools import takewhile

from llmbench.extraction.reasoning_marks import ANSWER_OPENING

_WRAPPER_START = re.compile(rf"\s*(?:{ANSWER_OPENING.pattern}|</?s>)")
# What a server writes that misses a stop token, and what closes an answer.
_WRAPPER_END = re.compile(
    r"\s*(?:</?(?:final_)?(?:answer|solution|response|output|s|step)>|<end_of_turn>|\[/INST\]"
    r"|<\|\w{1,40}\|>|\[END FINAL RESPONSE\])(?:\s|<[^>\n]{0,40}>)*\Z"
)


def without_indent(code: str, indent: int) -> str:
    """Return the code without an indent that is no part of it.

    That is the indent of its fence, `indent` characters, as far as the first line has it too, then
    the one that all lines share, and then the one that only the first line has.
    """
    lines = code.split("\n")
    first = next((line for line in lines if line.strip()), "")
    indent = min(indent, _indent(first))
    if indent:
        lines = [line[min(indent, _indent(line)) :] for line in lines]
    indents = [line[: _indent(line)] for line in lines if line.strip()]
    if not indents or not indents[0]:
        return "\n".join(lines)
    pairs = zip(min(indents), max(indents), strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    # One blank is what some models begin each text with; then the other lines are indented evenly.
    only_first = indents[0] == " " and min(map(len, indents[1:]), default=0) % 2 == 0
    if shared and not only_first:
        lines = [line[shared:] if line.strip() else line for line in lines]
    position = next(n for n, line in enumerate(lines) if line.strip())
    lines[position] = lines[position].lstrip(" \t")
    return "\n".join(lines)


def without_blank_ends(code: str) -> str:
    """Return the code without blank lines around it and without a newline at its end."""
    begin = len(code) - len(code.lstrip())
    return code[code.rfind("\n", 0, begin) + 1 :].rstrip()


def without_wrapper(text: str) -> str:
    """Return the text without the tags of an answer and the stop tokens around it."""
    start = _WRAPPER_START.match(text)
    end = _WRAPPER_END.search(text, max(0, len(text) - 200))
    return text[start.end() if start else 0 : end.start() if end else len(text)]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))
