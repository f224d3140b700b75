"""Importers of other problem collections from a local copy.

A format is one file, whose `read` converts a source, and one entry of `FORMATS`.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmbench.importers.base import ImportResult, Language

FORMATS = {
    "exercism": "a track of Exercism, or one exercise of it",
    "polyglot": "aider's polyglot benchmark: Exercism exercises, a folder per language",
    "humaneval": "HumanEval, or HumanEval+ (JSONL)",
    "humaneval-x": "HumanEval-X (JSONL)",
    "mbpp": "MBPP, sanitised or not, or MBPP+ (JSONL or JSON)",
    "multipl-e": "MultiPL-E (JSONL)",
}
"""Format to a description of its sources; its module has its name, with `_` for `-`."""


def read(format_: str, source: Path, languages: Sequence["Language"]) -> "ImportResult":
    """Convert a source of one of the formats.

    Raises:
        UsageError: the source is not of this format.
    """
    module = import_module(f"{__name__}.{format_.replace('-', '_')}")
    result: ImportResult = module.read(source, languages)
    return result
