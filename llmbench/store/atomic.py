"""Files that are whole or untouched."""

import os
from contextlib import suppress
from pathlib import Path

from llmbench.errors import OutputError


def replace_atomically(fresh: Path, path: Path) -> None:
    """Put a written file on the disk and then in its place, at once and lastingly."""
    _sync(fresh)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Put on the disk which files a folder holds: a new one could be lost with its name."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        with suppress(PermissionError):  # whoever may not list a folder has not made it
            _sync(path)


def write_text(path: Path, text: str) -> None:
    """Write a small file whole.

    Raises:
        OutputError: it cannot be written; the old one stands.
    """
    fresh = path.with_name(f".{path.name}.tmp")
    try:
        try:
            fresh.write_text(text, encoding="utf-8")
            replace_atomically(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
