"""MultiPL-E: HumanEval and MBPP compiled to other languages; it brings no references.

https://github.com/nuprl/MultiPL-E
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.importers.base import ConversionError, Imported, Language, named, rewrite, rows, slug
from llmbench.importers.humaneval import TASK, cases

ENTRY = re.compile(r"\bcandidate\s*:?=\s*(\w+)|\bcheck\((\w+)\)")


def read(source: Path, languages: Sequence[Language]) -> Imported:
    """Every row of the file."""
    imported = Imported()
    for place, row in rows(source):
        name = row.get("name", place)
        imported.take(str(name), partial(_problem, row, languages))
    return imported


def _problem(row: dict[str, Any], languages: Sequence[Language]) -> dict[str, Any]:
    language = named(languages, row["language"])
    facts = language.facts
    entry = next((a or b for a, b in ENTRY.findall(row["tests"]) if "candidate" not in (a, b)), "")
    if not entry:
        raise ConversionError("the tests do not say which function they test")
    prompt = rewrite(row["prompt"], facts.rewrite_cases)
    # Where tests stand below the solution in its file, they need what that file begins with.
    start = re.match(facts.head, prompt) if facts.head else None
    head, rest = (start[0], prompt[start.end() :]) if start else ("", prompt)
    package = f"{start['package']}\n\n" if start else ""
    stub = rewrite(package + rest.rstrip() + "\n" + facts.body, facts.rewrite_stub)
    return {
        **language.problem(f"multipl-e-{language.lang}-{slug(row['name'])}", TASK, stub),
        "tests": cases(language, rewrite(row["tests"], facts.rewrite_cases), entry, head),
        "origin": f"MultiPL-E, {row['language']}, {row['name']}",
        "licence": "BSD-3-Clause (MultiPL-E)",
    }
