"""The names of result files, and the check of `--out` before a run costs anything.

Imports nothing slow.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from llmbench.errors import OutputError
from llmbench.store.result_formats import FORMATS, SUFFIXES

REPAIR = ".repair"
"""Stands before the suffix of a file of repairs."""


def repair_path(path: Path) -> Path:
    """Return the path of the repairs that belong to a result file."""
    return path.with_name(f"{path.stem}{REPAIR}{path.suffix}")


def is_result(path: Path) -> bool:
    """True for the name of a result file; a file of repairs is none of its own."""
    return path.suffix in FORMATS and not path.stem.endswith(REPAIR)


def check(paths: Sequence[Path]) -> None:
    """Check that each output path can be written.

    Raises:
        OutputError: the suffix is unknown, or the file cannot be written.
    """
    for path in paths:
        if path.suffix not in FORMATS:
            raise OutputError(f"--out {path}: the name must end in {SUFFIXES}")
        if not is_result(path):
            raise OutputError(
                f"--out {path}: names that end in {REPAIR}{path.suffix} are for repairs",
                hint="choose another name",
            )
        if path.is_dir():
            raise OutputError(f"--out {path}: is a folder", hint="name a file")
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise OutputError(f"--out {path}: cannot be written: {error.strerror}") from None
