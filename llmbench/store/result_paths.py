"""Result files asked for, tried before anything is paid for (imports nothing that is slow)."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from llmbench.errors import OutputError

FORMATS = (".csv", ".parquet")
"""Endings of a result file; `tables` has a writer for each."""

REPAIR = ".repair"
"""Stands before the ending of a file that holds later rounds."""


def repair_path(path: Path) -> Path:
    """The file of the later rounds beside a result file."""
    return path.with_name(f"{path.stem}{REPAIR}{path.suffix}")


def is_result(path: Path) -> bool:
    """True for the name of a result file; one of later rounds is none of its own."""
    return path.suffix in FORMATS and not path.stem.endswith(REPAIR)


def check(paths: Sequence[Path]) -> None:
    """Try each output path.

    Raises:
        OutputError: the ending is unknown, or the place cannot be written.
    """
    for path in paths:
        if path.suffix not in FORMATS:
            raise OutputError(f"--out {path}: the name must end in {' or '.join(FORMATS)}")
        if not is_result(path):
            raise OutputError(f"--out {path}: the name is that of a file of later rounds")
        if path.is_dir():
            raise OutputError(f"--out {path}: is a folder; name a file")
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise OutputError(f"--out {path}: cannot be written: {error.strerror}") from None
