"""Files that are replaced as a whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from llmbench.errors import OutputError


def replace_atomically(temporary: Path, path: Path) -> None:
    """Sync a written file to the disk, rename it to `path` and sync the new name."""
    _sync(temporary)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Sync the names in a folder to the disk, without which a crash could lose a new file."""
    if os.name == "posix":  # elsewhere a folder cannot be opened
        with suppress(PermissionError):  # a folder that cannot be listed is not one of ours
            _sync(path)


def write_text(path: Path, text: str) -> None:
    """Replace a small file as a whole.

    Raises:
        OutputError: the file cannot be written; the old one is unchanged.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        try:
            temporary.write_text(text, encoding="utf-8")
            replace_atomically(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
