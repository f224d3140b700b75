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
    start = re.match(config.head, setup) if config.head else None
    package = f"{start['package']}\n\n" if start else ""
    # The prompt has the helpers that the declaration lacks.
    stub = row["prompt"].lstrip("\n")
    whole = stub.rstrip() + "\n" + row["canonical_solution"]
    declaration = row["declaration"].lstrip("\n")
    if config.packages is not None:
        # A row's imports are not those that its code and its tests use.
        whole = config.packages.with_imports(package, whole)
        stub = config.packages.with_imports(package, stub)
        tests = config.packages.with_imports(package, tests)
        setup = ""
    entry = row.get("entry_point") or _last_name(declaration)
    return {
        **language.problem(
            f"humaneval-x-{language.lang}-{slug(number)}",
            TASK,
            stub.rstrip() + "\n" + config.body,
            completion=True,
        ),
        "tests": cases(language, tests, entry, setup),
        "reference": whole.rstrip() + "\n",
        "origin": f"HumanEval-X, {row['task_id']}",
        "license": "Apache-2.0 (HumanEval-X)",
    }


def _last_name(declaration: str) -> str:
    """Return the name of the last function: helpers come before the function to write."""
    names = re.findall(r"^\w+ (\w+) ?\(", declaration, re.MULTILINE)
    return names[-1] if names else ""
