"""HumanEval-X: HumanEval, translated by hand to several languages.

https://github.com/THUDM/CodeGeeX/tree/main/codegeex/benchmark/humaneval-x
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.importers.base import (
    ImportResult,
    Language,
    convert_rows,
    language_named,
    rewrite,
    slug,
)
from llmbench.importers.humaneval import TASK, cases


def read(source: Path, languages: Sequence[Language]) -> ImportResult:
    """Convert every row of the file."""
    return convert_rows(source, partial(_problem, languages))


def _problem(languages: Sequence[Language], row: dict[str, Any]) -> dict[str, Any]:
    name, _, number = row["task_id"].partition("/")
    language = language_named(languages, name)
    config = language.config
    setup = rewrite(row.get("test_setup", ""), config.rewrite_cases)
    tests = rewrite(row["test"], config.rewrite_cases)
    # A row has the imports in a field of their own, and often in its prompt too.
    imports = row.get("import", "").strip()
    before = "" if imports in row["prompt"] else imports + "\n\n"
    start = re.match(config.head, setup) if config.head else None
    package = f"{start['package']}\n\n" if start else ""
    prompt = package + before + row["prompt"].lstrip("\n")
    declaration = row["declaration"].lstrip("\n")
    whole = package + ("" if imports in declaration else imports + "\n\n") + declaration
    entry = row.get("entry_point") or _last_name(declaration)
    return {
        **language.problem(
            f"humaneval-x-{language.lang}-{slug(number)}",
            TASK,
            prompt.rstrip() + "\n" + config.body,
            completion=True,
        ),
        "tests": cases(language, tests, entry, setup),
        "reference": whole.rstrip() + "\n" + row["canonical_solution"],
        "origin": f"HumanEval-X, {row['task_id']}",
        "license": "Apache-2.0 (HumanEval-X)",
    }


def _last_name(declaration: str) -> str:
    """Return the name of the last function: helpers come before the function to write."""
    names = re.findall(r"^\w+ (\w+) ?\(", declaration, re.MULTILINE)
    return names[-1] if names else ""
