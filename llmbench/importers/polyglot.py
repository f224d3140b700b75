"""aider's polyglot benchmark: `<language>/exercises/practice/<name>/`, each as in Exercism.

https://github.com/Aider-AI/polyglot-benchmark
"""

from collections.abc import Sequence
from pathlib import Path

from llmbench.errors import UsageError
from llmbench.importers.base import ImportResult, Language
from llmbench.importers.exercism import CONFIG, read_exercises


def read(source: Path, languages: Sequence[Language]) -> ImportResult:
    """Convert every exercise of every language's folder.

    Raises:
        UsageError: the folder has no exercise.
    """
    folders = sorted(path.parent.parent for path in source.glob(f"*/exercises/practice/*/{CONFIG}"))
    if not folders:
        raise UsageError(f"{source}: no LANGUAGE/exercises/practice/NAME/{CONFIG} here")
    return read_exercises(source, folders, languages, "polyglot")
