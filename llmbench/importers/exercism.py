"""Exercism: instructions, stub, tests and reference of each exercise.

https://exercism.org/docs/building/tracks/practice-exercises
"""

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.errors import UsageError
from llmbench.importers.base import ConversionError, ImportResult, Language, rewrite

CONFIG = Path(".meta", "config.json")
LICENSE = "MIT (Exercism)"
TEXTS = ("introduction.md", "instructions.md", "instructions.append.md")


def read(source: Path, languages: Sequence[Language]) -> ImportResult:
    """Convert every exercise of a track's folder, or the one exercise in the folder.

    Raises:
        UsageError: the folder has no exercise.
    """
    if (source / CONFIG).is_file():
        exercises = [source]
    else:
        exercises = sorted(path.parent.parent for path in source.glob(f"exercises/*/*/{CONFIG}"))
    if not exercises:
        raise UsageError(f"{source}: no exercise here, such as exercises/practice/NAME/{CONFIG}")
    return read_exercises(source, exercises, languages, "exercism")


def read_exercises(
    source: Path, exercises: Sequence[Path], languages: Sequence[Language], prefix: str
) -> ImportResult:
    """Convert the exercises in these folders; ids begin with the prefix."""
    result = ImportResult()
    for folder in exercises:
        name = folder.name if folder == source else folder.relative_to(source).as_posix()
        result.add(name, partial(_exercise, folder, languages, prefix))
    return result


def _exercise(folder: Path, languages: Sequence[Language], prefix: str) -> dict[str, Any]:
    config = _config(folder)
    files: Mapping[str, Sequence[str]] = config["files"]
    solution = _only(files.get("solution", ()), "solution")
    language = next((x for x in languages if Path(solution).suffix == x.config.suffix), None)
    if language is None:
        raise ConversionError(f"no language here has {Path(solution).suffix} files")
    reference = _only(files.get("example") or files.get("exemplar") or (), "example")
    module = Path(solution).stem
    tests, others = _support(folder, files, solution, language.config.tests)
    if not tests:
        raise ConversionError("no test file")
    problem = language.problem(
        f"{prefix}-{language.lang}-{folder.name}",
        "\n\n".join(_text(folder / ".docs" / name) for name in TEXTS),
        _text(folder / solution),
    )
    if others:
        problem["files"] = others
    return {
        **problem,
        "tests": {
            path: rewrite(text, language.config.rewrite_tests, module=module)
            for path, text in tests.items()
        },
        "reference": _text(folder / reference),
        "origin": f"Exercism, {language.lang} track, {folder.name}",
        "license": LICENSE,
    }


def _config(folder: Path) -> Any:
    try:
        return json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConversionError(f"{CONFIG} cannot be read: {error}") from None


def _only(paths: Sequence[str], kind: str) -> str:
    if len(paths) != 1:
        names = ", ".join(paths) or "none"
        raise ConversionError(f"one {kind} file is needed, there are {len(paths)}: {names}")
    return paths[0]


def _support(
    folder: Path, files: Mapping[str, Sequence[str]], solution: str, patterns: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the test files and the other files beside the solution, by their paths.

    A test file counts even if the exercise does not name it.
    """

    def is_test(path: str) -> bool:
        return any(fnmatch(Path(path).name, pattern) for pattern in patterns)

    beside = sorted(path.name for path in folder.iterdir() if path.is_file())
    named = dict.fromkeys([*files.get("test", ()), *files.get("editor", ())])
    paths = [path for path in dict.fromkeys([*named, *filter(is_test, beside)]) if path != solution]
    missing = [path for path in paths if not (folder / path).is_file()]
    if missing:
        raise ConversionError(f"{', '.join(missing)}: {CONFIG} names a file that does not exist")
    tests = {path: _text(folder / path) for path in paths if is_test(path)}
    return tests, {path: _text(folder / path) for path in paths if not is_test(path)}


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path.name} cannot be read: {error}") from None
