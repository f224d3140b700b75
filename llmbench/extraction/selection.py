"""The choice among the parts of an answer: which of them is the code."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import NamedTuple

from llmbench.extraction.blocks import Block, Parts, normalize, split
from llmbench.extraction.syntax import Syntax


class ExtractionMethod(StrEnum):
    """The values of the column `extraction`: the place of the code in an answer."""

    FENCE = "fence"  # a fenced block tagged with the language
    FENCE_FITTING = "fence_fitting"  # a fenced block with another tag, or none, whose text fits
    FENCE_UNTAGGED = "fence_untagged"  # a fenced block with no tag, whose text shows no language
    WHOLE_TEXT = "whole_text"  # no block: the answer itself is code
    NONE = "none"


_METHODS = tuple(ExtractionMethod)  # the surest first
_OF_LANGUAGE = (ExtractionMethod.FENCE, ExtractionMethod.FENCE_FITTING)


class _Missing(IntEnum):
    """The part of the wanted names that a block does not define."""

    NONE = 0
    SOME = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class Extraction:
    """The code of an answer, None if it has none, and the method that found it.

    `left_out` counts the other blocks of the language that the answer has.
    """

    code: str | None
    method: ExtractionMethod
    left_out: int = field(default=0, compare=False)


def extract(text: str, syntax: Syntax, names: Collection[str] = ()) -> Extraction:
    r"""Return the code in an answer: lines that end in \n each, without blank lines around them.

    `names` are those that the code must define, where they are known. Reasoning is removed first,
    closed or not. The code is one fenced block, else the whole text, if it fits the language,
    begins as code and does not end in prose. Among the blocks, these facts decide in this order: a
    block

    1. does not import the solution, as tests do,
    2. defines all of `names`, else some of them,
    3. does not stand under the name of another file,
    4. is tagged with the language, else fits it, else has no tag,
    5. defines a function or a type,
    6. comes first.

    Empty blocks do not count. The time is linear in the text, of which the first
    `blocks.MAX_MARKS` fences count, and as many reasoning marks.
    """
    parts = split(normalize(text, syntax.tags), syntax.tags)
    # A prompt may have opened the block; then the first fence of the answer closes it.
    if parts.starts_inside_block and syntax.is_code(parts.head):
        return Extraction(parts.head + "\n", ExtractionMethod.WHOLE_TEXT)
    return _select(parts, syntax, frozenset(names))


class _Order(NamedTuple):
    """The place of a block among those that may be the code; the least is chosen."""

    imports_solution: bool
    missing_names: _Missing
    other_file: bool
    method: int
    no_definition: bool
    position: int


def _select(parts: Parts, syntax: Syntax, names: frozenset[str]) -> Extraction:
    candidates = list(_candidates(parts.blocks, syntax, names))
    if candidates:
        best = min(candidates)
        others = [c for c in candidates if c is not best and _METHODS[c.method] in _OF_LANGUAGE]
        code = parts.blocks[best.position].code
        return Extraction(code, _METHODS[best.method], len(others))
    if not parts.blocks and syntax.is_code(parts.head):
        return Extraction(parts.head + "\n", ExtractionMethod.WHOLE_TEXT)
    return Extraction(None, ExtractionMethod.NONE)


def _candidates(blocks: Sequence[Block], syntax: Syntax, names: frozenset[str]) -> Iterator[_Order]:
    for index, (tag, code, file) in enumerate(blocks):
        missing = _missing(names, syntax.defined_names(code)) if names else _Missing.ALL
        if tag in syntax.tags:
            method = ExtractionMethod.FENCE
        elif syntax.fits(code):
            method = ExtractionMethod.FENCE_FITTING
        elif not tag:
            method = ExtractionMethod.FENCE_UNTAGGED
        else:
            continue
        yield _Order(
            imports_solution=syntax.imports_solution(code),
            missing_names=missing,
            other_file=file not in ("", syntax.solution),
            method=_METHODS.index(method),
            no_definition=not syntax.has_definition(code),
            position=index,
        )


def _missing(names: frozenset[str], defined: frozenset[str]) -> _Missing:
    if names <= defined:
        return _Missing.NONE
    return _Missing.SOME if names & defined else _Missing.ALL


def prompt_stub(prompt: str, syntax: Syntax) -> str | None:
    """Return the first block of the language in a problem's prompt, None if there is none."""
    block = extract(prompt, replace(syntax, code_patterns=()))
    return block.code if block.method is ExtractionMethod.FENCE else None
