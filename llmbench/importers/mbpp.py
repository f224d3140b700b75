"""MBPP, its sanitised part, and MBPP+: a sentence and assertions.

https://github.com/google-research/google-research/tree/master/mbpp and
https://github.com/evalplus/evalplus
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.importers.base import (
    ConversionError,
    ImportResult,
    Language,
    convert_rows,
    language_for,
    rewrite,
    slug,
)
from llmbench.importers.humaneval import cases


def read(source: Path, languages: Sequence[Language]) -> ImportResult:
    """Convert every row of the file."""
    language = language_for(languages, "mbpp")
    return convert_rows(source, partial(_problem, language))


def _problem(language: Language, row: dict[str, Any]) -> dict[str, Any]:
    if "test_list" not in row:
        raise ConversionError(
            "has inputs and no tests, and JSON has lost the tuples and sets among them: "
            "use the release of MBPP+ with the fields test_list and test"
        )
    plus = "test" in row
    examples = "\n".join(row["test_list"])
    setup = "\n".join([row.get("test_setup_code") or "", *(row.get("test_imports") or ())])
    tests = row["test"] if plus else "\n".join([examples, *row.get("challenge_test_list", ())])
    task = f"{row.get('text') or row['prompt']}\n\nIt must satisfy:\n\n```text\n{examples}\n```"
    return {
        **language.problem(f"mbpp{'-plus' if plus else ''}-{slug(row['task_id'])}", task, None),
        "tests": cases(language, rewrite(f"{setup}\n{tests}", language.config.rewrite_cases), ""),
        "reference": row["code"].replace("\r\n", "\n"),
        "origin": f"MBPP{'+' if plus else ''}, {row['task_id']}",
        "license": "Apache-2.0 (EvalPlus)" if plus else "CC-BY-4.0 (Google Research)",
    }
