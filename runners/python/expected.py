"""Reads from the authors' files, without running them, which tests must pass.

The rules are those of pytest. A test that depends on what the files compute is left out.
"""

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path

LONGEST_FILE = 1 << 20
MARKS = ("skip", "xfail", "expectedFailure")
"""Parts of the marks by which an author allows a test to be skipped or to fail."""
CHOOSES_TESTS = ("pytest_collection_modifyitems", "pytest_ignore_collect", "collect_ignore")
"""Parts of a conftest.py whose author decides while pytest runs which tests there are."""
OTHER_FOLDERS = ("build", "dist", "node_modules", "venv", "CVS", "_darcs")

ExpectedTest = tuple[str, int, bool]
"""Name, number of cases, and True if its author lets it be skipped."""
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def expected_line() -> bytes:
    """Return the first line of a report: the expected tests of the current folder."""
    counts: dict[str, tuple[int, bool]] = {}
    paths = sorted(python_files())
    conftests = [path.read_text(errors="replace") for path in paths if path.name == "conftest.py"]
    if any(word in text for text in conftests for word in CHOOSES_TESTS):
        return b"expected []\n"
    for path in paths:
        if not path.name.startswith("test_") and not path.name.endswith("_test.py"):
            continue
        try:
            module = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
            continue  # pytest says what is wrong
        for name, count, may_skip in module_tests(module):
            known, allowed = counts.get(name, (0, False))
            counts[name] = known + count, allowed or may_skip
    entries = [[name, count, may_skip, False] for name, (count, may_skip) in counts.items()]
    return b"expected " + json.dumps(entries).encode() + b"\n"


def python_files() -> Iterator[Path]:
    """Yield the files below the current folder in which pytest looks for tests, and others."""
    for folder, below, names in os.walk("."):
        # pytest takes such a folder for an environment.
        below[:] = [
            name
            for name in below
            if not name.startswith(".")
            and name not in OTHER_FOLDERS
            and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        for path in (Path(folder, name) for name in names if name.endswith(".py")):
            if path.is_file() and path.stat().st_size <= LONGEST_FILE:
                yield path


def module_tests(module: ast.Module) -> Iterator[ExpectedTest]:
    """Yield the tests of a module."""
    yield from body_tests(module.body, 1, has_own_mark(module.body))


def body_tests(body: list[ast.stmt], factor: int, may_skip: bool) -> Iterator[ExpectedTest]:
    """As `module_tests`, for the body of a module or class with `factor` cases of its own."""
    # The last definition of a name is the one that counts.
    named = {node.name: node for node in body if isinstance(node, (FunctionNode, ast.ClassDef))}
    for name, node in named.items():
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        allowed = may_skip or any(mark in text for text in decorators for mark in MARKS)
        allowed = allowed or any("marks" in text for text in decorators)
        cases = factor * number_of_cases(node)
        if isinstance(node, ast.ClassDef):
            if is_test_class(node):
                yield from body_tests(node.body, cases, allowed or has_own_mark(node.body))
        elif name.startswith("test") and not any("fixture" in text for text in decorators):
            yield name, max(1, cases), allowed or cases == 0


def is_test_class(node: ast.ClassDef) -> bool:
    """Return True if pytest collects the tests of this class."""
    defined = {getattr(each, "name", "") for each in node.body}
    assigned = {ast.unparse(t) for e in node.body if isinstance(e, ast.Assign) for t in e.targets}
    if "__test__" in assigned:
        return False
    if any("TestCase" in ast.unparse(base) for base in node.bases):
        return True
    return node.name.startswith("Test") and not defined & {"__init__", "__new__"}


def has_own_mark(body: list[ast.stmt]) -> bool:
    """Return True if marks are assigned to the whole module or class."""
    return any(
        isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets)
        for node in body
    )


def number_of_cases(node: FunctionNode | ast.ClassDef) -> int:
    """Return the number of cases that the decorators make of a test, as far as they say it."""
    number = 1
    for decorator in node.decorator_list:
        if not isinstance(decorator, ast.Call) or len(decorator.args) < 2:
            continue
        values = decorator.args[1]
        if not ast.unparse(decorator.func).endswith("parametrize"):
            continue
        if isinstance(values, (ast.List, ast.Tuple)):
            starred = any(isinstance(each, ast.Starred) for each in values.elts)
            number *= 1 if starred else len(values.elts)
    return number
