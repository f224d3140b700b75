"""Foreign text made harmless: what a model or a server wrote must not drive a terminal."""

import unicodedata

_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Control, format (such as those that turn the direction of writing), half characters, breaks."""


def escape_controls(text: str) -> str:
    r"""The text with each character that could steer a terminal written as an escape, as `\x1b`.

    New lines and tabs stay; a carriage return before a new line goes.
    """
    return text.replace("\r\n", "\n").translate(_PLAIN)


def single_line(text: str) -> str:
    """The text, harmless, in one line."""
    return " ".join(escape_controls(text).split())


class _Plain(dict[int, str]):
    """What stands for each character, by its number; found out once, for texts are long."""

    def __missing__(self, number: int) -> str:
        character = chr(number)
        if character not in "\n\t" and unicodedata.category(character) in _STEERING:
            character = character.encode("unicode_escape").decode("ascii")
        self[number] = character
        return character


_PLAIN = _Plain()
