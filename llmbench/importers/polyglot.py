"""aider's polyglot benchmark: `<language>/exercises/practice/<name>/`, each as in Exercism.

https://github.com/Aider-AI/polyglot-benchmark
"""

from collections.abc import Sequence
from pathlib import Path

from llmbench.errors import UsageError
from llmbench.importers.base import Imported, Language
from llmbench.importers.exercism import CONFIG, read_exercises


def read(source: Path, languages: Sequence[Language]) -> Imported:
    """Every exercise of every language's folder.

    Raises:
        UsageError: there is no exercise.
    """
    found = sorted(path.parent.parent for path in source.glob(f"*/exercises/practice/*/{CONFIG}"))
    if not found:
        raise UsageError(f"{source}: no LANGUAGE/exercises/practice/NAME/{CONFIG} here")
    return read_exercises(source, found, languages, "polyglot")
