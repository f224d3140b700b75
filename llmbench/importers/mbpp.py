"""MBPP, its sanitised part, and MBPP+: a sentence, and assertions.

https://github.com/google-research/google-research/tree/master/mbpp and
https://github.com/evalplus/evalplus
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.importers.base import ConversionError, Imported, Language, language_for, rows, slug
from llmbench.importers.humaneval import cases


def read(source: Path, languages: Sequence[Language]) -> Imported:
    """Every row of the file."""
    language = language_for(languages, "mbpp")
    imported = Imported()
    for place, row in rows(source):
        name = row.get("task_id", place)
        imported.take(str(name), partial(_problem, row, language))
    return imported


def _problem(row: dict[str, Any], language: Language) -> dict[str, Any]:
    if "test_list" not in row:
        raise ConversionError(
            "has inputs and no tests, and JSON has lost what was a tuple or a set in them: "
            "take the release of MBPP+ with the fields test_list and test"
        )
    plus = "test" in row
    shown = "\n".join(row["test_list"])
    setup = "\n".join([row.get("test_setup_code") or "", *(row.get("test_imports") or ())])
    tests = row["test"] if plus else "\n".join([shown, *row.get("challenge_test_list", ())])
    task = f"{row.get('text') or row['prompt']}\n\nIt must satisfy:\n\n```text\n{shown}\n```"
    return {
        **language.problem(f"mbpp{'-plus' if plus else ''}-{slug(row['task_id'])}", task, None),
        "tests": cases(language, f"{setup}\n{tests}", ""),
        "reference": row["code"].replace("\r\n", "\n"),
        "origin": f"MBPP{'+' if plus else ''}, {row['task_id']}",
        "licence": "Apache-2.0 (EvalPlus)" if plus else "CC-BY-4.0 (Google Research)",
    }
