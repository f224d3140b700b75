"""Reads from the authors' files, without running them, which tests must pass.

The rules are those of pytest. A test that depends on what the files compute is left out.
"""

import ast
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

LONGEST_FILE = 1 << 20
MARKS = ("skip", "xfail", "expectedFailure")
"""Parts of the marks by which an author allows a test to be skipped or to fail."""
CHOOSES_TESTS = (b"pytest_collection_modifyitems", b"pytest_ignore_collect", b"collect_ignore")
"""Parts of a conftest.py whose author decides while pytest runs which tests there are."""
OTHER_FOLDERS = ("build", "dist", "node_modules", "venv", "CVS", "_darcs")

ExpectedTest = tuple[str, int, bool]
"""Name, number of cases, and True if its author lets it be skipped."""
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def expected_line(files: Mapping[Path, bytes]) -> bytes:
    """Return the first line of a report: the expected tests of these files."""
    counts: dict[str, tuple[int, bool]] = {}
    conftests = [data for path, data in files.items() if path.name == "conftest.py"]
    if any(word in data for data in conftests for word in CHOOSES_TESTS):
        return b"expected []\n"
    for path, data in sorted(files.items()):
        if not path.name.startswith("test_") and not path.name.endswith("_test.py"):
            continue
        try:
            module = ast.parse(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # pytest says what is wrong
        for name, count, may_skip in module_tests(module):
            known, allowed = counts.get(name, (0, False))
            counts[name] = known + count, allowed or may_skip
    entries = [[name, count, may_skip, False] for name, (count, may_skip) in counts.items()]
    return b"expected " + json.dumps(entries).encode() + b"\n"


def read_python_files() -> dict[Path, bytes]:
    """Return what the files hold in which pytest looks for tests, and others."""
    files = {}
    for path in python_files():
        with suppress(OSError):
            files[path] = path.read_bytes()
    return files


def python_files() -> Iterator[Path]:
    """Yield the Python files below the current folder, without those that are too long."""
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


class Names:
    """The values of a module's own names, and how often each is used.

    A name has a value if it is assigned once, at the top of the module.
    """

    def __init__(self, module: ast.Module) -> None:
        self._module = module

    @cached_property
    def uses(self) -> Counter[str]:
        """How often each name is used."""
        return Counter(n.id for n in ast.walk(self._module) if isinstance(n, ast.Name))

    @cached_property
    def values(self) -> dict[str, ast.expr]:
        """The values of names that are assigned at the top of the module."""
        values: dict[str, ast.expr] = {}
        for node in self._module.body:
            if isinstance(node, ast.Assign):
                names = [each.id for each in node.targets if isinstance(each, ast.Name)]
                values |= dict.fromkeys(names, node.value)
        return values

    @cached_property
    def local(self) -> set[str]:
        """The names that come from other files of the authors."""
        local: set[str] = set()
        for node in self._module.body:
            if isinstance(node, ast.ImportFrom):
                top = (node.module or "").partition(".")[0]
                if node.level or Path(top).is_dir() or Path(f"{top}.py").exists():
                    local |= {alias.asname or alias.name for alias in node.names}
        return local

    def text(self, decorator: ast.expr) -> str:
        """Return the words of a decorator, and of the values that it names."""
        named = [node.id for node in ast.walk(decorator) if isinstance(node, ast.Name)]
        values = [words(self.values[name]) for name in named if name in self.values]
        return "\n".join([words(decorator), *values])

    def may_skip(self, decorator: ast.expr) -> bool:
        """Return True if a decorator is a mark that lets a test be skipped or fail, or may be one.

        Another file of the authors may define such a mark, and cases with marks of their own.
        """
        text = self.text(decorator)
        if "marks" in text or any(mark in text for mark in MARKS):
            return True
        values = listed_values(decorator)
        if isinstance(values, (ast.List, ast.Tuple)):
            return False
        named = {n.id for n in ast.walk(values or decorator) if isinstance(n, ast.Name)}
        return bool(named & self.local)

    def length(self, values: ast.expr, uses: int = 0) -> int | None:
        """Return the number of cases in a list, or None if only running the file shows it.

        `uses` is how often decorators name this list: nothing else may, since it could change it.
        """
        if isinstance(values, ast.Name) and values.id in self.values:
            own = self.values[values.id]
            # One more use is the assignment.
            only = self.uses[values.id] == uses + 1 and not isinstance(own, ast.Name)
            return self.length(own) if only else None
        if isinstance(values, (ast.List, ast.Tuple)):
            starred = any(isinstance(each, ast.Starred) for each in values.elts)
            return None if starred else len(values.elts)
        if isinstance(values, ast.Call) and last_name(values.func) == "range":
            given = [each.value for each in values.args if isinstance(each, ast.Constant)]
            numbers = [each for each in given if isinstance(each, int)]
            if len(numbers) == len(values.args):
                with suppress(TypeError, ValueError):
                    return len(range(*numbers))
        return None


def words(node: ast.expr) -> str:
    """Return the names and texts in an expression; ast.unparse takes ten times as long."""
    found: list[str] = []
    for each in ast.walk(node):
        value = each.value if isinstance(each, ast.Constant) else last_name(each)
        found += [value] if isinstance(value, str) else []
    return " ".join(found)


def last_name(node: ast.AST) -> str:
    """Return the name that a node ends with, as `c` in `a.b.c`; empty if it has none."""
    return next((getattr(node, key) for key in ("id", "attr", "arg") if hasattr(node, key)), "")


def module_tests(module: ast.Module) -> Iterator[ExpectedTest]:
    """Yield the tests of a module."""
    yield from body_tests(module.body, 1, has_own_mark(module.body), Names(module))


def body_tests(
    body: list[ast.stmt], factor: int, may_skip: bool, names: Names
) -> Iterator[ExpectedTest]:
    """As `module_tests`, for the body of a module or class with `factor` cases of its own."""
    # The last definition of a name is the one that counts.
    named = {node.name: node for node in body if isinstance(node, (FunctionNode, ast.ClassDef))}
    for name, node in named.items():
        allowed = may_skip or any(map(names.may_skip, node.decorator_list))
        cases = factor * number_of_cases(node, names)
        if isinstance(node, ast.ClassDef):
            if is_test_class(node):
                own = allowed or has_own_mark(node.body)
                yield from body_tests(node.body, cases, own, names)
        elif name.startswith("test") and not is_fixture(node):
            yield name, max(1, cases), allowed or cases == 0


def is_fixture(node: FunctionNode) -> bool:
    """Return True if a function is a fixture, whatever its name."""
    return any("fixture" in words(decorator) for decorator in node.decorator_list)


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


def listed_values(decorator: ast.expr) -> ast.expr | None:
    """Return the cases that a decorator lists, or None if it lists none."""
    if not isinstance(decorator, ast.Call) or len(decorator.args) < 2:
        return None
    return decorator.args[1] if last_name(decorator.func).endswith("parametrize") else None


def number_of_cases(node: FunctionNode | ast.ClassDef, names: Names) -> int:
    """Return the number of cases that decorators make of a test, as far as the file shows it."""
    number = 1
    for decorator in node.decorator_list:
        values = listed_values(decorator)
        length = None if values is None else names.length(values, uses=1)
        number *= 1 if length is None else length
    return number
