"""Exercism: instructions, stub, tests and reference of each exercise.

https://exercism.org/docs/building/tracks/practice-exercises
"""

import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from llmbench.errors import UsageError
from llmbench.importers.base import ConversionError, ImportConfig, ImportResult, Language, rewrite

CONFIG = Path(".meta", "config.json")
LICENSE = "MIT (Exercism)"
MAX_COMMAS = 20
"""Maximum number of wrong commas in a file."""
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
    tests, others = _support(folder, files, solution, language.config)
    if not tests:
        raise ConversionError("no test file")
    tests = {
        path: rewrite(text, language.config.rewrite_tests, module=module)
        for path, text in tests.items()
    }
    _check_tests(tests, solution, language.config)
    problem = language.problem(
        f"{prefix}-{language.lang}-{folder.name}",
        "\n\n".join(_text(folder / ".docs" / name) for name in TEXTS),
        _text(folder / solution),
    )
    if others:
        problem["files"] = others
    return {
        **problem,
        **language.config.exercise_options,
        "tests": tests,
        "reference": _text(folder / reference),
        "origin": f"Exercism, {language.lang} track, {folder.name}",
        "license": LICENSE,
    }


def _config(folder: Path) -> Any:
    try:
        return lenient_json((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConversionError(f"{CONFIG} cannot be read: {error}") from None


def lenient_json(text: str) -> Any:
    """Return the value of JSON in which commas may be missing or trailing, as tracks have it.

    Raises:
        JSONDecodeError: the text has another error.
    """
    for _ in range(MAX_COMMAS):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            before, after = text[: error.pos].rstrip(), text[error.pos :]
            if error.msg.startswith("Expecting ',' delimiter") and after[:1] == '"':
                text = f"{before}, {after}"
            elif before.endswith(",") and after[:1] in ("}", "]"):
                text = before[:-1] + after
            elif after[:1] == "," and after[1:].lstrip()[:1] in ("}", "]"):  # Python 3.13
                text = before + after[1:]
            else:
                raise
    return json.loads(text)


def _only(paths: Sequence[str], kind: str) -> str:
    if len(paths) != 1:
        names = ", ".join(paths) or "none"
        raise ConversionError(f"one {kind} file is needed, there are {len(paths)}: {names}")
    return paths[0]


def _support(
    folder: Path, files: Mapping[str, Sequence[str]], solution: str, config: ImportConfig
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the test files and the other files beside the solution, by their paths.

    A test file counts even if the exercise does not name it.
    """

    def is_test(path: str) -> bool:
        return any(fnmatch(Path(path).name, pattern) for pattern in config.tests)

    beside = sorted(path.name for path in folder.iterdir() if path.is_file())
    named = dict.fromkeys([*files.get("test", ()), *files.get("editor", ())])
    paths = [
        path
        for path in dict.fromkeys([*named, *filter(is_test, beside)])
        if path != solution and not any(fnmatch(path, pattern) for pattern in config.leave_out)
    ]
    missing = [path for path in paths if not (folder / path).is_file()]
    if missing:
        raise ConversionError(f"{', '.join(missing)}: {CONFIG} names a file that does not exist")
    tests = {path: _text(folder / path) for path in paths if is_test(path)}
    return tests, {path: _text(folder / path) for path in paths if not is_test(path)}


def _check_tests(tests: Mapping[str, str], solution: str, config: ImportConfig) -> None:
    """Check that rewritten tests hold a test, and do without the solution's own file name."""
    if config.has_test and not any(re.search(config.has_test, t, re.M) for t in tests.values()):
        raise ConversionError(f"its test files hold no test: {', '.join(tests)}")
    name = re.compile(rf"[\"'`/]{re.escape(Path(solution).name)}[\"'`]")
    for path, text in tests.items():
        if name.search(text):
            raise ConversionError(
                f"{path} opens {solution} by this name, and answers have another file name here"
            )


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path.name} cannot be read: {error}") from None
