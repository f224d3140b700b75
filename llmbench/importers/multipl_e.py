"""MultiPL-E: HumanEval and MBPP compiled to other languages, without references.

https://github.com/nuprl/MultiPL-E
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.importers.base import (
    ConversionError,
    ImportResult,
    Language,
    convert_rows,
    language_named,
    rewrite,
    slug,
)
from llmbench.importers.humaneval import TASK, cases

ENTRY = re.compile(r"\bcandidate\s*:?=\s*(\w+)|\bcheck\((\w+)\)")


def read(source: Path, languages: Sequence[Language]) -> ImportResult:
    """Convert every row of the file."""
    return convert_rows(source, partial(_problem, languages), name_field="name")


def _problem(languages: Sequence[Language], row: dict[str, Any]) -> dict[str, Any]:
    language = language_named(languages, row["language"])
    config = language.config
    entry = next((a or b for a, b in ENTRY.findall(row["tests"]) if "candidate" not in (a, b)), "")
    if not entry:
        raise ConversionError("its tests do not name the function that they test")
    prompt = rewrite(row["prompt"], config.rewrite_cases)
    # Tests from the same file as the solution need the head of that file, such as its imports.
    start = re.match(config.head, prompt) if config.head else None
    head, rest = (start[0], prompt[start.end() :]) if start else ("", prompt)
    package = f"{start['package']}\n\n" if start else ""
    stub = rewrite(package + rest.rstrip() + "\n" + config.body, config.rewrite_stub)
    return {
        **language.problem(
            f"multipl-e-{language.lang}-{slug(row['name'])}", TASK, stub, completion=True
        ),
        "tests": cases(language, rewrite(row["tests"], config.rewrite_cases), entry, head),
        "origin": f"MultiPL-E, {row['language']}, {row['name']}",
        "license": "BSD-3-Clause (MultiPL-E)",
    }
