"""Result files asked for, tried before anything is paid for (imports nothing that is slow)."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from llmbench.errors import OutputError

FORMATS = (".csv", ".parquet")
"""Endings of a result file; `tables` has a writer for each."""


def check(paths: Sequence[Path]) -> None:
    """Try each output path.

    Raises:
        OutputError: the ending is unknown, or the place cannot be written.
    """
    for path in paths:
        if path.suffix not in FORMATS:
            raise OutputError(f"--out {path}: the name must end in {' or '.join(FORMATS)}")
        if path.is_dir():
            raise OutputError(f"--out {path}: is a folder; name a file")
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise OutputError(f"--out {path}: cannot be written: {error.strerror}") from None
