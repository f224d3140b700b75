"""The attempts of a page: a list of all, and their texts packed small."""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from llmbench.records import Row
from llmbench.reports.attempt import facts
from llmbench.reports.html.highlight import token_spans
from llmbench.reports.sanitize import escape_controls, single_line
from llmbench.reports.sections import Section

TOGETHER = 32
"""Attempts in a pack: a page unpacks only what is looked at."""

LONGEST = 40_000
"""Most characters of a text that a page shows: the beginning and the end."""

Given = tuple[int, Sequence[Section]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """The attempts at these places of the list, as base64 of deflated JSON."""

    places: Sequence[int]
    data: str


def attempt_index(rows: Sequence[Row], chunks: Iterable[Chunk]) -> dict[str, Any]:
    """All attempts, for a program: names once, a short list for each attempt.

    An attempt is target, problem, run, outcome, tests passed and total, seconds, tokens, USD, and
    its pack.
    """
    targets = list(dict.fromkeys(single_line(row.target) for row in rows))
    problems = {
        single_line(row.problem_id): [row.lang, row.tags, row.difficulty or ""] for row in rows
    }
    outcomes = list(dict.fromkeys(row.outcome for row in rows))
    at_target, at_problem, at_outcome = (
        {name: place for place, name in enumerate(names)} for names in (targets, problems, outcomes)
    )
    pack_of = {place: number for number, pack in enumerate(chunks) for place in pack.places}
    return {
        "targets": targets,
        "problems": [[name, *map(single_line, about)] for name, about in problems.items()],
        "outcomes": outcomes,
        "attempts": [
            [
                at_target[single_line(row.target)],
                at_problem[single_line(row.problem_id)],
                row.run,
                at_outcome[row.outcome],
                row.tests_passed,
                row.tests_total,
                None if row.llm_seconds is None else round(row.llm_seconds, 3),
                row.completion_tokens,
                row.cost_usd,
                pack_of[place],
            ]
            for place, row in enumerate(rows)
        ],
    }


def chunks(rows: Sequence[Row], given: Iterable[Given]) -> Iterator[Chunk]:
    """The texts of the attempts in `rows`, given by place, in packs as they come."""
    coming = iter(given)
    while some := list(islice(coming, TOGETHER)):
        told = {place: _told(rows[place], sections) for place, sections in some}
        data = zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 6)
        yield Chunk([place for place, _ in some], base64.b64encode(data).decode("ascii"))


def _told(row: Row, sections: Sequence[Section]) -> dict[str, Any]:
    return {"facts": facts(row), "sections": [_section(section) for section in sections]}


def _section(section: Section) -> dict[str, str]:
    if section.text is None:
        return {"title": section.title, "missing": section.missing}
    text = _shortened(escape_controls(section.text.rstrip("\n")))
    coloured = {"kinds": token_spans(section.name, text)} if section.name else {}
    return {"title": section.title, "text": text} | coloured


def _shortened(text: str) -> str:
    """The beginning and the end of a text that is too long, and how much is left out."""
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n\n[{len(text) - 2 * half} characters left out]\n\n{text[-half:]}"
