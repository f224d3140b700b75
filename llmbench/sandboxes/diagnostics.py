"""The findings of `llmbench doctor`: state of a part of this machine, and how to fix it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """A part works, is missing, or is there and does not work."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one part: `detail` in a line for people, `fix` the next thing to do.

    `required` is True if the kind of sandbox works only if this part is OK.
    """

    part: str
    state: State
    detail: str
    fix: str = ""
    required: bool = False
