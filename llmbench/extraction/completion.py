"""Answers that hold only the body of a function whose head the prompt gave."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from llmbench.extraction.blocks import normalize, split
from llmbench.extraction.layout import without_blank_ends
from llmbench.extraction.selection import Extraction, ExtractionMethod, extract
from llmbench.extraction.syntax import Syntax, is_prose

_LEAVES = re.compile(r"(?:return|yield|raise)\b")
"""A statement that only the body of a function has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRules:
    """The rules by which a body completes a stub, as published graders put them together.

    `placeholder` is a regular expression of the body at the end of a stub that only holds its
    place. A body ends before a line without indent that matches `stop`. Where `braces` is true, a
    body that lacks the closing brace of the function gets it; else the body is indented like the
    end of the stub. With `preface`, an answer that has the whole function also gets the imports
    and helpers that the stub has before it. `export` exports `{name}` if the text
    `export_pattern`, a regular expression with `{name}`, is missing.
    """

    placeholder: str
    stop: str
    braces: bool = False
    preface: bool = False
    export_pattern: str | None = None
    export: str = ""


def extract_completion(
    answer: str, syntax: Syntax, rules: CompletionRules, stub: str, names: Collection[str]
) -> Extraction:
    """Return the code of an answer to a stub: the stub with the body, or the whole function.

    `names` are those that the code must define. `stub` has the head of the function at its end,
    with or without a placeholder for the body.
    """
    result = extract(answer, syntax, names)
    head = re.sub(rules.placeholder, "", stub.rstrip() + "\n", flags=re.MULTILINE).rstrip() + "\n"
    if result.code is not None and _is_whole(result.code, syntax, rules, names):
        preface = _preface(head, result.code, syntax, names) if rules.preface else ""
        code = preface + result.code + _exports(result.code, syntax, rules, names)
        return Extraction(code, result.method, result.left_out)
    parts = split(normalize(answer, syntax.tags), syntax.tags)
    # A prompt may have opened the block; then the first fence of the answer closes it.
    whole_text = parts.starts_inside_block or not parts.blocks
    if whole_text and parts.head and not _is_text(parts.head):
        code = head + _completed(parts.head, head, rules)
        return Extraction(code, ExtractionMethod.WHOLE_TEXT)
    if result.code is None:
        return result
    return Extraction(head + _completed(result.code, head, rules), result.method, result.left_out)


def _is_whole(code: str, syntax: Syntax, rules: CompletionRules, names: Collection[str]) -> bool:
    """True if the code defines a wanted function itself; one behind a body is a repetition."""
    start = _definition_start(code, syntax, names)
    if start is None:
        return False
    before = code[:start]
    if rules.braces:
        return before.count("}") <= before.count("{")
    lines = before.rstrip().split("\n")
    return not _lost_indent(lines) and not any(_LEAVES.match(line) for line in lines)


def _definition_start(text: str, syntax: Syntax, names: Collection[str]) -> int | None:
    starts = [
        match.start()
        for pattern in syntax.definition_patterns
        for match in re.finditer(pattern, text, re.MULTILINE)
        if match["name"] in names
    ]
    return min(starts, default=None)


def _is_text(body: str) -> bool:
    lines = body.strip().split("\n")
    return is_prose(lines[0]) or is_prose(lines[-1])


def _completed(body: str, head: str, rules: CompletionRules) -> str:
    """Return a body that fits behind its head."""
    lines = without_blank_ends(body).split("\n")
    if rules.braces:
        end = _end_of_braces(lines)
        text = "\n".join(_up_to_stop(lines, end, rules)).rstrip() + "\n"
        return text if end <= len(lines) else text + "}\n"
    if lost := _lost_indent(lines):  # the first line alone has lost it
        lines = _up_to_stop([lost + lines[0], *lines[1:]], 1, rules)
    else:
        last = head.rstrip().rpartition("\n")[2]
        indent = last[: len(last) - len(last.lstrip())] or "    "
        lines = [indent + line if line.strip() else line for line in lines]
    return "\n".join(lines).rstrip() + "\n"


def _up_to_stop(lines: list[str], start: int, rules: CompletionRules) -> list[str]:
    """Return the lines before the first one from `start` that begins anything else."""
    numbers = range(start, len(lines))
    stop = next((n for n in numbers if re.match(rules.stop, lines[n])), len(lines))
    return lines[:stop]


def _end_of_braces(lines: list[str]) -> int:
    """Return the number of lines up to the brace that closes a function whose head is elsewhere.

    It is one more than there are if none does.
    """
    depth = 1
    for number, line in enumerate(lines, 1):
        depth += line.count("{") - line.count("}")
        if depth < 1:
            return number
    return len(lines) + 1


def _lost_indent(lines: list[str]) -> str:
    """Return the indent that the first line of a body lacks beside the others, or an empty text."""
    others = [line for line in lines[1:] if line.strip()]
    indents = [line[: len(line) - len(line.lstrip())] for line in others]
    least = min((indent for indent in indents if indent), key=len, default="")
    if not indents or not indents[0]:
        return ""
    opens_block = lines[0].rstrip().endswith((":", "{", "(", "["))
    # Behind a line that opens a block the next one is deeper than the body.
    return least if not opens_block or len(indents[0]) > len(least) else ""


def _preface(head: str, code: str, syntax: Syntax, names: Collection[str]) -> str:
    """Return the imports and helpers before the function in a stub, unless the code has them."""
    preface = head[: _definition_start(head, syntax, names) or 0].strip()
    lines = frozenset(code.split("\n"))
    if all(line in lines for line in preface.split("\n") if line):
        return ""
    if syntax.defined_names(preface) & syntax.defined_names(code):
        return ""
    return preface + "\n\n\n"


def _exports(code: str, syntax: Syntax, rules: CompletionRules, names: Collection[str]) -> str:
    if rules.export_pattern is None:
        return ""
    defined = syntax.defined_names(code) & frozenset(names)
    missing = (
        name
        for name in sorted(defined)
        if not re.search(rules.export_pattern.replace("{name}", re.escape(name)), code, re.M)
    )
    return "".join(rules.export.replace("{name}", name) + "\n" for name in missing)
