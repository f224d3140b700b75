"""The meaning of the reasons that servers give for the end of an answer.

Every server has names of its own, so a reason is sorted by the words in it and not as a whole.
"""

import re
from collections.abc import Mapping
from enum import Enum


class Ending(Enum):
    """The end of an answer, by its meaning."""

    OPEN = "no reason was given"
    COMPLETE = "the model ended it"
    CUT = "a limit of tokens cut it"
    FILTERED = "a content filter withheld it"
    BROKEN = "the server failed to complete it"


ENDINGS: Mapping[Ending, re.Pattern[str]] = {
    Ending.OPEN: re.compile(r"(null|none|nil|undefined)?"),
    Ending.FILTERED: re.compile(
        r".*(content.?(filter|policy|moderat)|safety|recitation|block.?list|prohibited|spii"
        r"|sensitive|moderation|guardrail|flagged|policy.?violation|refus(al|ed)).*"
    ),
    Ending.BROKEN: re.compile(
        r".*(error|abort|cancel|time.?(d.?)?out|time.?limit|deadline|network|connection|disconnect"
        r"|interrupt|insufficient|overload|unavailable|fail(ed|ure)|crash|rate.?limit|shut.?down"
        r"|preempt|evict|killed|terminated).*"
    ),
    Ending.CUT: re.compile(
        r".*(length|context|window|max.{0,12}token|token.?(limit|budget|count)|tokens?.?exceed"
        r"|truncat|num.?predict).*|limit"
    ),
}
"""The words of each meaning, in lower case; the first pattern that fits the whole reason counts. A
reason without any of them is the model's own end: `stop`, `eos`, `tool_calls` and the like."""


def ending(reason: str | None) -> Ending:
    """Return the meaning of a finish reason, whatever its case; None stands for no reason."""
    text = (reason or "").strip().lower()
    matches = (meaning for meaning, pattern in ENDINGS.items() if pattern.fullmatch(text))
    return next(matches, Ending.COMPLETE)
