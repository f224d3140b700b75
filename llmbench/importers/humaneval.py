"""HumanEval and HumanEval+: a function's head with its docstring, and tests of it.

https://github.com/openai/human-eval and https://github.com/evalplus/evalplus. Rows of HumanEval+
that bring inputs and no tests are judged by what their reference returns for these inputs.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.importers.base import (
    ConversionError,
    Imported,
    Language,
    fill,
    language_for,
    rows,
    slug,
)

TASK = "Complete this code."


def read(source: Path, languages: Sequence[Language]) -> Imported:
    """Every row of the file."""
    language = language_for(languages, "humaneval")
    imported = Imported()
    for place, row in rows(source):
        name = row.get("task_id", place)
        imported.take(str(name), partial(_problem, row, language))
    return imported


def _problem(row: dict[str, Any], language: Language) -> dict[str, Any]:
    plus = "plus_input" in row
    entry, reference = row["entry_point"], row["prompt"] + row["canonical_solution"]
    id_ = f"{'humaneval-plus' if plus else 'humaneval'}-{slug(row['task_id'].split('/')[-1])}"
    return {
        **language.problem(id_, TASK, row["prompt"].rstrip() + "\n" + language.facts.body),
        "tests": oracle(row, language, reference) if plus else cases(language, row["test"], entry),
        "reference": reference,
        "origin": f"{'HumanEval+' if plus else 'HumanEval'}, {row['task_id']}",
        "licence": "Apache-2.0 (EvalPlus)" if plus else "MIT (OpenAI)",
    }


def cases(language: Language, tests: str, entry: str, head: str = "") -> dict[str, str]:
    """Test files of the language's own kind around foreign tests of the function `entry`."""
    return {
        path: fill(text, tests=tests.strip() + "\n", entry=entry, head=head)
        for path, text in language.facts.cases.items()
    }


def oracle(row: dict[str, Any], language: Language, reference: str) -> dict[str, str]:
    """Test files that compare a solution with the reference on a row's inputs.

    Raises:
        CannotConvertError: the language's facts do not say how.
    """
    if not language.facts.oracle:
        raise ConversionError("inputs without tests are not converted in this language")
    inputs = json.dumps([*(row.get("base_input") or ()), *(row["plus_input"] or ())])
    places = {
        "reference": reference,
        "entry": row["entry_point"],
        "inputs": inputs,
        "tolerance": repr(float(row.get("atol") or 0)),
    }
    return {path: fill(text, **places) for path, text in language.facts.oracle.items()}
