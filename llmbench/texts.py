"""Texts for people: numbers with their nouns, and checks of texts that people give."""


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its noun, or with the start of a sentence about it."""
    return f"{number} {one if number == 1 else many}"


def fault_of_text(value: object) -> str | None:
    """Return why a text, or a list in a text, cannot be a value; None for any other value."""
    if not isinstance(value, str):
        return None
    if not value.strip(" ,"):
        return "is empty: give a value, or leave it out"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{value!r} is not UTF-8"
    return "holds a NUL" if "\0" in value else None
