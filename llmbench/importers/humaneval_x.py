"""HumanEval-X: HumanEval by hand in several languages.

https://github.com/THUDM/CodeGeeX/tree/main/codegeex/benchmark/humaneval-x
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.importers.base import Imported, Language, named, rewrite, rows, slug
from llmbench.importers.humaneval import TASK, cases


def read(source: Path, languages: Sequence[Language]) -> Imported:
    """Every row of the file."""
    imported = Imported()
    for place, row in rows(source):
        name = row.get("task_id", place)
        imported.take(str(name), partial(_problem, row, languages))
    return imported


def _problem(row: dict[str, Any], languages: Sequence[Language]) -> dict[str, Any]:
    name, _, number = row["task_id"].partition("/")
    language = named(languages, name)
    facts = language.facts
    setup = rewrite(row.get("test_setup", ""), facts.rewrite_cases)
    tests = rewrite(row["test"], facts.rewrite_cases)
    # The imports of a solution stand apart; where the prompt shows them, they are not repeated.
    imports = row.get("import", "").strip()
    before = "" if imports in row["prompt"] else imports + "\n\n"
    start = re.match(facts.head, setup) if facts.head else None
    package = f"{start['package']}\n\n" if start else ""
    prompt = package + before + row["prompt"].lstrip("\n")
    declaration = row["declaration"].lstrip("\n")
    whole = package + ("" if imports in declaration else imports + "\n\n") + declaration
    entry = row.get("entry_point") or _last_name(declaration)
    return {
        **language.problem(
            f"humaneval-x-{language.lang}-{slug(number)}", TASK, prompt.rstrip() + "\n" + facts.body
        ),
        "tests": cases(language, tests, entry, setup),
        "reference": whole.rstrip() + "\n" + row["canonical_solution"],
        "origin": f"HumanEval-X, {row['task_id']}",
        "licence": "Apache-2.0 (HumanEval-X)",
    }


def _last_name(declaration: str) -> str:
    """The function declared last: the one that is asked for stands below its helpers."""
    names = re.findall(r"^\w+ (\w+) ?\(", declaration, re.MULTILINE)
    return names[-1] if names else ""
