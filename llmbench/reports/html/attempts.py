"""The attempts of a page: an index of all, and their texts in compressed chunks."""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from llmbench.records import Outcome, Row
from llmbench.reports.attempt import facts
from llmbench.reports.html.highlight import token_spans
from llmbench.reports.sanitize import escape_controls, single_line
from llmbench.reports.sections import Section

CHUNK_SIZE = 32
"""Attempts in a chunk: a page decompresses only those that are looked at."""

MAX_CHARACTERS = 40_000
"""Most characters of a text that a page shows, half from its beginning and half from its end."""

IndexedSections = tuple[int, Sequence[Section]]
"""The sections of an attempt, with the index of its row."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The texts of the attempts at these indices, as base64 of deflated JSON."""

    indices: Sequence[int]
    data: str


def attempt_index(rows: Sequence[Row], chunks: Iterable[Chunk]) -> dict[str, Any]:
    """Return all attempts for the page's script: each name once, a short list per attempt.

    The list holds target, problem, run, outcome, tests passed and total, seconds, tokens, USD,
    chunk, seconds to the first token and tokens per second. Target, problem, outcome and chunk are
    indices. A problem has an entry for each of its hashes: results pair only if they are equal.
    """
    targets = list(dict.fromkeys(single_line(row.target) for row in rows))
    problems = {
        _problem(row): [single_line(row.problem_id), row.lang, row.tags, row.difficulty or ""]
        for row in rows
    }
    outcomes = list(dict.fromkeys(row.outcome for row in rows))
    target_index = {name: i for i, name in enumerate(targets)}
    problem_index = {key: i for i, key in enumerate(problems)}
    outcome_index = {name: i for i, name in enumerate(outcomes)}
    chunk_index = {i: number for number, chunk in enumerate(chunks) for i in chunk.indices}
    return {
        "targets": targets,
        "problems": [list(map(single_line, texts)) for texts in problems.values()],
        "outcomes": outcomes,
        "unscored": [name for name in outcomes if Outcome(name).is_infrastructure],
        "attempts": [
            [
                target_index[single_line(row.target)],
                problem_index[_problem(row)],
                row.run,
                outcome_index[row.outcome],
                row.tests_passed,
                row.tests_total,
                _rounded(row.llm_seconds),
                row.completion_tokens,
                row.cost_usd,
                chunk_index[i],
                _rounded(row.ttft_seconds),
                _rounded(row.tokens_per_second),
            ]
            for i, row in enumerate(rows)
        ],
    }


def _problem(row: Row) -> tuple[str, str]:
    return row.problem_id, row.problem_sha256


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def chunks(rows: Sequence[Row], sections: Iterable[IndexedSections]) -> Iterator[Chunk]:
    """Yield the texts of the attempts in `rows`, chunk by chunk, in the order of `sections`."""
    iterator = iter(sections)
    while batch := list(islice(iterator, CHUNK_SIZE)):
        texts = {i: _attempt(rows[i], parts) for i, parts in batch}
        data = zlib.compress(json.dumps(texts, separators=(",", ":")).encode(), 6)
        yield Chunk([i for i, _ in batch], base64.b64encode(data).decode("ascii"))


def _attempt(row: Row, sections: Sequence[Section]) -> dict[str, Any]:
    return {"facts": facts(row), "sections": [_section(section) for section in sections]}


def _section(section: Section) -> dict[str, str]:
    if section.text is None:
        return {"title": section.title, "missing": section.missing}
    text = _shortened(escape_controls(section.text.rstrip("\n")))
    spans = {"spans": token_spans(section.name, text)} if section.name else {}
    return {"title": section.title, "text": text} | spans


def _shortened(text: str) -> str:
    """Return beginning and end of a text that is too long, and the length of the rest."""
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]}\n\n[{len(text) - 2 * half} characters left out]\n\n{text[-half:]}"
