"""Escapes foreign text: output of models and servers must not control a terminal."""

import unicodedata

_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that are escaped: control, format, surrogate, line and paragraph separator."""


def escape_controls(text: str) -> str:
    r"""Return the text with each character that could control a terminal escaped, as in `\x1b`.

    New lines and tabs stay; a carriage return before a new line is removed.
    """
    return text.replace("\r\n", "\n").translate(_TABLE)


def single_line(text: str) -> str:
    """Return the escaped text in one line."""
    return " ".join(escape_controls(text).split())


class _EscapeTable(dict[int, str]):
    """Replacements by code point, each computed once because texts are long."""

    def __missing__(self, number: int) -> str:
        character = chr(number)
        if character not in "\n\t" and unicodedata.category(character) in _ESCAPED:
            character = character.encode("unicode_escape").decode("ascii")
        self[number] = character
        return character


_TABLE = _EscapeTable()
