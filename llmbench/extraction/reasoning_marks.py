"""Marks that models put around their reasoning: the only table of them.

The extraction leaves out the reasoning, and the time to the first answer token counts to its end.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LONGEST_MARK = 160
"""Maximum length of a mark, in characters."""
LONGEST_PROSE = 40
"""Maximum length of an opening mark in words of prose, in characters."""


class ReasoningMark(NamedTuple):
    """Regular expressions of the two marks around reasoning.

    With `prose` the words may stand in prose, too. Then the first mark counts only where the text
    begins, and only if the second mark of the same row follows.
    """

    opening: str
    closing: str
    prose: bool = False


def _any_of(patterns: Iterable[str]) -> str:
    return f"(?:{'|'.join(patterns)})"


_NAMES = (
    "think|thinking|thoughts?|reason|reasoning|reflection|analysis|rationale|scratchpad"
    "|cot|chain[_-]of[_-]thought"
)
# A name may have a prefix or a suffix: "seed:think", "longcat_think", "thought_process".
_NAME = rf"(?:\w{{1,20}}[:_-])?(?:{_NAMES})(?:[:_-]\w{{1,20}})?"
_TAG_END = r"(?:[ \t]+[\w-]+=[^<>＜＞\n]{0,80})?[ \t]{0,2}[>＞]"
_CHANNEL = r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>[ \t]*"
_MESSAGE = r"[^<\n]{0,60}(?:<\|constrain\|>[^<\n]{0,40})?<\|message\|>"
_HERE_IS_MY = r"Here(?: is|['’]s) my"

MARKS = (
    ReasoningMark(
        # After a word, `<Thought>` with a capital is the argument of a generic type.
        rf"(?:[<＜][ \t]{{0,2}}{_NAME}|(?<!\w)[<＜][ \t]{{0,2}}(?i:{_NAME})){_TAG_END}",
        rf"[<＜][ \t]{{0,2}}[/／][ \t]{{0,2}}(?i:{_NAME})[ \t]{{0,2}}[>＞]",
    ),
    ReasoningMark(r"\[THINK\]", r"\[/THINK\]"),  # Mistral
    ReasoningMark("◁think▷", "◁/think▷"),  # Kimi
    ReasoningMark(  # OpenThinker, Sky-T1
        r"<\|begin_of_(?:thought|thinking|reasoning)\|>",
        r"<\|end_of_(?:thought|thinking|reasoning)\|>",
    ),
    ReasoningMark(r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command
    ReasoningMark(r"<\|think(?:ing)?\|>", r"<\|(?:/|end_?)think(?:ing)?\|>"),
    ReasoningMark(r"<\|channel>thought\b", r"<channel\|>"),  # Gemma 4
    ReasoningMark(r"<unused94>(?:thought\b)?", "<unused95>"),  # MedGemma
    ReasoningMark(r"<details type=\"reasoning\"[^>\n]{0,80}>", "</details>"),  # Open WebUI
    ReasoningMark(  # gpt-oss: harmony
        rf"{_CHANNEL}(?:analysis|commentary){_MESSAGE}", rf"{_CHANNEL}final{_MESSAGE}"
    ),
    ReasoningMark(  # harmony without its special tokens
        r"(?:assistant)?analysis(?=[^a-z\s.,:;!?()/-]|[ \t]*\n)", "assistant[ \t]*final", prose=True
    ),
    ReasoningMark(  # Granite
        rf"{_HERE_IS_MY} thought process\b", rf"{_HERE_IS_MY} response:", prose=True
    ),
    ReasoningMark(  # Apriel
        r"Here are my reasoning steps\b", r"\[BEGIN FINAL RESPONSE\]", prose=True
    ),
    ReasoningMark(r"Thinking\.\.\.[ \t]*\n", r"\.\.\.done thinking\.", prose=True),  # ollama run
    ReasoningMark(  # a quotation
        r">[ \t]*\W{0,6}(?:Reasoning|Thinking|Thought)\b", r"\n(?=[^>])", prose=True
    ),
)

# The first character of each mark that is no prose. Most text is passed over by it.
_BRACKETS = "<＜[◁"
_BRACKET = f"(?=[{re.escape(_BRACKETS)}])"
_FIRST_OF_PROSE = frozenset("aHT>")
OPENING = _BRACKET + _any_of(mark.opening for mark in MARKS if not mark.prose)
CLOSING = _BRACKET + _any_of(mark.closing for mark in MARKS if not mark.prose)

_FIRST = re.compile("|".join(f"({mark.opening})" for mark in MARKS))
_ANY = re.compile(f"{OPENING}|{CLOSING}")
# A match of a whole string skips the marks in it. An apostrophe inside a word begins no string.
_STRING_OR_MARK = re.compile(
    r"\"[^\"\n]*\"|`[^`\n]*`|(?:(?<!\w)|(?<=\b[rRbBfFuU]))'[^'\n]*'"
    rf"|(?P<open>{OPENING})|(?P<close>{CLOSING})"
)

ANY_CLOSING = re.compile(rf"{_BRACKET}(?:(?<![\"'`]){CLOSING}|{CLOSING}(?![\"'`]))")
"""A mark outside quotes that ends any reasoning but that of `prose` marks."""

ANSWER_OPENING = re.compile(
    r"<(?:final_)?(?:answer|solution|response|output)>[ \t]*"
    r"|<\|begin_of_(?:solution|answer|box)\|>|<\|START_RESPONSE\|>"
)
"""A mark that some models put before their answer."""

_CLOSING_OF = tuple(re.compile(mark.closing) if mark.prose else ANY_CLOSING for mark in MARKS)


class Opening(NamedTuple):
    """The end of an opening mark in a text, and the pattern of what closes it."""

    end: int
    closing: re.Pattern[str]


class Mark(NamedTuple):
    """A mark at `start` to `end` of a text, which `opens` or closes reasoning.

    Reasoning that the mark opens lasts to `reasoning_end`.
    """

    start: int
    end: int
    opens: bool
    alone: bool  # on its line
    reasoning_end: int = 0


def ends_mark(text: str) -> bool:
    """True if a mark of `ANY_CLOSING` may end inside a text."""
    return ">" in text or "]" in text or "▷" in text or "＞" in text


def may_open(text: str) -> bool:
    """True if a text without blanks before it may be the beginning of an opening mark."""
    if text[0] in _FIRST_OF_PROSE:
        return len(text) < LONGEST_PROSE
    return text[0] in _BRACKETS and len(text) < LONGEST_MARK


def first_opening(text: str) -> Opening | None:
    """Return the opening mark with which a text begins, behind blanks."""
    start = len(text) - len(text.lstrip())
    match = _FIRST.match(text, start)
    return match and Opening(match.end(), _CLOSING_OF[(match.lastindex or 1) - 1])


def find_marks(text: str) -> Iterator[Mark]:
    """Yield the marks outside strings.

    A closing mark with text on both sides in its line is left out: prose that names it. So is an
    opening one inside a line whose reasoning has no end.
    """
    first = first_opening(text)
    closing = first and first.closing.search(text, first.end)
    if first and closing and first.closing is not ANY_CLOSING:
        yield Mark(0, first.end, True, False, closing.end())
    if not _ANY.search(text):
        return
    closing = None
    unclosed_from = len(text)
    for match in _STRING_OR_MARK.finditer(text):
        if not (match["open"] or match["close"]):
            continue
        start, end = match.span()
        begins_line = start == 0 or text[start - 1] == "\n"
        ends_line = end == len(text) or text[end] == "\n"
        if match["close"]:
            if begins_line or ends_line:
                yield Mark(start, end, False, begins_line and ends_line)
            continue
        # One search serves all openings before its result, so that the time stays linear.
        if end > unclosed_from:
            closing = None
        elif closing is None or closing.start() < end:
            closing = ANY_CLOSING.search(text, end)
            unclosed_from = unclosed_from if closing else end
        if closing or begins_line:
            yield Mark(start, end, True, False, closing.end() if closing else len(text))


def has_reasoning(text: str) -> bool:
    """True if a text has a section of reasoning with words in it.

    Some models write an empty section where their reasoning is turned off.
    """
    text = text.lstrip()
    if (opening := first_opening(text)) is not None:
        closing = opening.closing.search(text, opening.end)
        return bool(text[opening.end : closing.start() if closing else None].strip())
    closing = ANY_CLOSING.search(text)
    return closing is not None and bool(text[: closing.start()].strip())
