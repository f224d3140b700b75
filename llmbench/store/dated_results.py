"""A folder of dated results, night by night."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from llmbench.errors import ResultFileError
from llmbench.store.result_paths import FORMATS, is_result

_STAMP = re.compile(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)(?:[-_T](\d\d)-?(\d\d)(?:-?(\d\d))?)?(?!\d)")


def date_in_name(path: Path) -> str | None:
    """The date, and the time if there is one, in a file's name, else in its folder's."""
    for name in (path.name, path.parent.name):
        for found in _STAMP.finditer(name):
            parts = [int(part) for part in found.groups() if part is not None]
            try:
                when = datetime(*parts)  # type: ignore[arg-type]  # three to six whole numbers
            except ValueError:
                continue
            return f"{when:%Y-%m-%d %H:%M:%S}" if len(parts) > 3 else f"{when:%Y-%m-%d}"
    return None


def by_date(folder: Path) -> dict[str, list[Path]]:
    """The result files in a folder and the folders in it, by date, the oldest first.

    Raises:
        ResultFileError: it is no folder, or has no result file with a date in its name.
    """
    if not folder.is_dir():
        raise ResultFileError(f"{folder}: no such folder")
    found = dated(path for path in sorted(_results(folder)) if date_in_name(path) is not None)
    if not found:
        raise ResultFileError(
            f"{folder}: no result file with a date in its name, as 2026-01-31.parquet"
        )
    return found


def dated(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by the date in their name or their folder's, the oldest first.

    Where one of them has none, no date tells anything, and all are under the empty name.
    """
    given = list(paths)
    stamps = [date_in_name(path) for path in given]
    found: dict[str, list[Path]] = {}
    for path, stamp in zip(given, stamps, strict=True):
        found.setdefault("" if stamp is None or None in stamps else stamp, []).append(path)
    return dict(sorted(found.items()))


def result_files(paths: Iterable[Path]) -> list[Path]:
    """The files, where a folder stands for the result files in it and in the folders in it.

    Raises:
        ResultFileError: a folder has none.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(_results(path)) if path.is_dir() else [path]
        if not inside:
            raise ResultFileError(f"{path}: holds no result file, {' or '.join(FORMATS)}")
        found += inside
    return list(dict.fromkeys(found))


def _results(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if is_result(path) and path.is_file():
            yield path
