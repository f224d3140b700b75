"""The source follows the rules of the house: short files and functions, and plain names."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("llmbench", "runners", "scripts", "tests")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
FREE_RELATIVE = re.compile(
    r"(?:Wh(?:at|ich|o|om|ose)(?:ever)?|Whether|How(?! (?:many|much|often|to)\b))\b"
)
VAGUE_NAMES = frozenset("asked found given heard kept left made said shown taken told".split())

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def parse(*folders: str) -> Iterator[tuple[Path, str, ast.Module]]:
    """Yield the name, text and syntax tree of each Python file."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            yield path.relative_to(ROOT), text, ast.parse(text)


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each docstring, also of attributes, and each `help` argument."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text.strip()
            case ast.keyword(arg="help", value=ast.Constant(value=str(text))):
                yield node.value.lineno, text


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and name of each parameter, variable and function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, FUNCTIONS):
            yield node.lineno, node.name


def test_no_file_is_longer_than_400_lines() -> None:
    report(str(path) for path, text, _ in parse(*FOLDERS) if text.count("\n") > MAX_FILE_LINES)


def test_no_function_is_longer_than_50_lines() -> None:
    report(
        f"{path}:{node.lineno}: {node.name}"
        for path, _, tree in parse(*FOLDERS)
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_and_help_texts_begin_with_their_subject(folder: str) -> None:
    report(
        f"{path}:{line}: {text.splitlines()[0]}"
        for path, _, tree in parse(folder)
        for line, text in docstrings(tree)
        if FREE_RELATIVE.match(text)
    )


def test_names_in_the_package_say_what_they_hold() -> None:
    report(
        f"{path}:{line}: {name}"
        for path, _, tree in parse("llmbench")
        for line, name in names(tree)
        if name.strip("_") in VAGUE_NAMES
    )


def report(violations: Iterable[str]) -> None:
    """Fail with one line for each violation."""
    lines = list(violations)
    assert not lines, f"{len(lines)} places:\n" + "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "is_free_relative"),
    [
        ("What a run keeps.", True),
        ("Whose wait has ended.", True),
        ("Whoever asks.", True),
        ("Whether it is open.", True),
        ("How a run ended.", True),
        ("How many rows there are.", False),
        ("Whole numbers only.", False),
        ("Whatsoever.", False),
        ("Return the rows.", False),
    ],
)
def test_a_free_relative_is_recognised(text: str, is_free_relative: bool) -> None:
    assert bool(FREE_RELATIVE.match(text)) == is_free_relative
