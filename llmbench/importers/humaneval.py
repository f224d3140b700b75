"""HumanEval and HumanEval+: the head of a function with its docstring, and tests.

https://github.com/openai/human-eval and https://github.com/evalplus/evalplus. Rows of HumanEval+
with inputs instead of tests compare a solution with the reference on these inputs.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.importers.base import (
    ConversionError,
    ImportResult,
    Language,
    convert_rows,
    fill,
    language_for,
    rewrite,
    slug,
)

TASK = "Complete this code."


def read(source: Path, languages: Sequence[Language]) -> ImportResult:
    """Convert every row of the file."""
    language = language_for(languages, "humaneval")
    return convert_rows(source, partial(_problem, language))


def _problem(language: Language, row: dict[str, Any]) -> dict[str, Any]:
    inputs = "plus_input" in row
    entry, reference = row["entry_point"], row["prompt"] + row["canonical_solution"]
    # HumanEval+ in the format of HumanEval compares results by a function of its own.
    plus = inputs or "def assertion(" in row["test"]
    id_ = f"{'humaneval-plus' if plus else 'humaneval'}-{slug(row['task_id'].split('/')[-1])}"
    return {
        **language.problem(
            id_, TASK, row["prompt"].rstrip() + "\n" + language.config.body, completion=True
        ),
        "tests": oracle(row, language, reference)
        if inputs
        else cases(language, rewrite(row["test"], language.config.rewrite_cases), entry),
        "reference": reference,
        "origin": f"{'HumanEval+' if plus else 'HumanEval'}, {row['task_id']}",
        "license": "Apache-2.0 (EvalPlus)" if plus else "MIT (OpenAI)",
    }


def cases(language: Language, tests: str, entry: str, head: str = "") -> dict[str, str]:
    """Return test files in the language's form around foreign tests of the function `entry`."""
    return {
        path: fill(text, tests=tests.strip() + "\n", entry=entry, head=head)
        for path, text in language.config.cases.items()
    }


def oracle(row: dict[str, Any], language: Language, reference: str) -> dict[str, str]:
    """Return test files that compare a solution with the reference on a row's inputs.

    Raises:
        ConversionError: the language has no rules for it.
    """
    if not language.config.oracle:
        raise ConversionError("has inputs and no tests, which this language has no rules for")
    inputs = json.dumps([*(row.get("base_input") or ()), *(row["plus_input"] or ())])
    values = {
        "reference": reference,
        "entry": row["entry_point"],
        "inputs": inputs,
        "tolerance": repr(float(row.get("atol") or 0)),
    }
    return {path: fill(text, **values) for path, text in language.config.oracle.items()}
