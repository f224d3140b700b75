"""Foreign text made harmless: what a model or a server wrote must not drive a terminal."""

import unicodedata

_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Control, format (such as those that turn the direction of writing), half characters, breaks."""


def harmless(text: str) -> str:
    r"""The text with each character that could steer a terminal written as an escape, as `\x1b`.

    New lines and tabs stay; a carriage return before a new line goes.
    """
    return "".join(map(_plain, text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """The text, harmless, in one line."""
    return " ".join(harmless(text).split())


def _plain(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in _STEERING:
        return character
    return character.encode("unicode_escape").decode("ascii")
