"""The parts of a language's syntax that tell its code from other texts."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n)+")
_LEADING_COMMENTS = re.compile(
    r"\s*(?:(?:(?:#|//|--)[^\n]*|/\*.*?\*/|\"\"\".*?\"\"\"|'''.*?''')\s*)*", re.DOTALL
)
# A sentence, or an item of a list, in the place of a line of code.
_PROSE = re.compile(
    r"[A-Z][\w’'-]*,?(?:(?: [a-z’'-]+,?){2}|(?: \S+)*[.!?:]$)|(?:[-*]|\d+\.) +[A-Z*`]"
)
_NAME = re.compile(r"[^\W\d][\w$]*")


def is_prose(line: str) -> bool:
    """True if a line is a sentence, or an item of a list."""
    return bool(_PROSE.match(line))


@dataclass(frozen=True)
class Syntax:
    """Regular expressions of a language, in which `^` and `$` match at each line.

    `fences` are the tags of its blocks, `solution` is the name of the file that holds an answer.
    A text in which one of the `code_patterns` matches is code of the language. The
    `definition_patterns` match definitions of functions and types, the `binding_patterns` those of
    other names, both with the group `name`. The `import_patterns` match how another file imports
    the solution, with or without a group `names`; a group `names` of the `use_patterns` is a name
    that another file takes from it.
    """

    fences: tuple[str, ...]
    code_patterns: tuple[str, ...] = ()
    definition_patterns: tuple[str, ...] = ()
    binding_patterns: tuple[str, ...] = ()
    import_patterns: tuple[str, ...] = ()
    use_patterns: tuple[str, ...] = ()
    solution: str = ""

    @cached_property
    def tags(self) -> frozenset[str]:
        """The tags of fenced blocks, in lower case."""
        return frozenset(fence.lower() for fence in self.fences)

    @cached_property
    def _code(self) -> list[re.Pattern[str]]:
        return _compiled(self.code_patterns)

    @cached_property
    def _definitions(self) -> list[re.Pattern[str]]:
        return _compiled(self.definition_patterns)

    @cached_property
    def _bindings(self) -> list[re.Pattern[str]]:
        return _compiled(self.binding_patterns)

    @cached_property
    def _imports(self) -> list[re.Pattern[str]]:
        return _compiled(self.import_patterns)

    @cached_property
    def _uses(self) -> list[re.Pattern[str]]:
        return _compiled(self.use_patterns)

    def fits(self, text: str) -> bool:
        """True if any line of the text shows the language."""
        return _any_matches(self._code, text)

    def is_code(self, text: str) -> bool:
        """True if the text is code from its first line to its last."""
        comments = _LEADING_COMMENTS.match(text)
        first_line = text[comments.end() if comments else 0 :].partition("\n")[0]
        last_line = text[text.rfind("\n") + 1 :]
        return (
            any(pattern.match(first_line) for pattern in (*self._code, *self._bindings))
            and not is_prose(last_line)
            and self.fits(text)
        )

    def has_definition(self, text: str) -> bool:
        """True if the text defines a function or a type."""
        return _any_matches(self._definitions or self._code, text)

    def imports_solution(self, text: str) -> bool:
        """True if the text imports the solution, as its tests do."""
        return _any_matches(self._imports, text)

    def defined_names(self, text: str) -> frozenset[str]:
        """Return the names that a text defines."""
        packed = _BLANK_LINES.sub("\n", text)
        patterns = (*self._definitions, *self._bindings)
        return frozenset(match["name"] for p in patterns for match in p.finditer(packed))

    def imported_names(self, text: str) -> frozenset[str]:
        """Return the names that a text, such as a test file, takes from the solution."""
        return frozenset(self._imported_names(text))

    def _imported_names(self, text: str) -> Iterator[str]:
        for pattern in (*self._imports, *self._uses):
            if "names" in pattern.groupindex:
                for match in pattern.finditer(text):
                    for part in re.sub(r"(?:#|//)[^\n]*", "", match["names"] or "").split(","):
                        words = [word for word in _NAME.findall(part) if word != "type"]
                        yield from words[:1]


def _compiled(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    return [re.compile(pattern, re.MULTILINE) for pattern in patterns]


def _any_matches(patterns: Iterable[re.Pattern[str]], text: str) -> bool:
    # Without blank lines a pattern that begins with `^\s*` takes linear time too.
    packed = _BLANK_LINES.sub("\n", text)
    return any(pattern.search(packed) for pattern in patterns)
