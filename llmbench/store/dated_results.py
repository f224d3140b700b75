"""Result files with a date in their name or in their folder's."""

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from llmbench.errors import ResultFileError
from llmbench.store.result_formats import SUFFIXES
from llmbench.store.result_paths import is_result

_DATE = re.compile(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)(?:[-_T](\d\d)-?(\d\d)(?:-?(\d\d))?)?(?!\d)")


def date_in_name(path: Path) -> str | None:
    """Return the date, and the time if there is one, in the name of a file or of its folder."""
    for name in (path.name, path.parent.name):
        for match in _DATE.finditer(name):
            parts = [int(part) for part in match.groups() if part is not None]
            try:
                date = datetime(*parts)  # type: ignore[arg-type]  # three to six whole numbers
            except ValueError:
                continue
            return f"{date:%Y-%m-%d %H:%M:%S}" if len(parts) > 3 else f"{date:%Y-%m-%d}"
    return None


def find_dated(folder: Path) -> dict[str, list[Path]]:
    """Return the dated result files in a folder and its subfolders by date, the oldest first.

    Raises:
        ResultFileError: the folder is missing, or has no result file with a date in its name.
    """
    if not folder.is_dir():
        raise ResultFileError(f"{folder}: no such folder")
    dated = [path for path in _results(folder) if date_in_name(path) is not None]
    if not dated:
        raise ResultFileError(
            f"{folder}: no result file with a date in its name, as 2026-01-31.parquet"
        )
    return group_by_date(dated)


def group_by_date(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return files by the date in the name of the file or its folder, the oldest first.

    If one of them has no date, the dates do not order them: all are under the empty name.
    """
    dates = {path: date_in_name(path) for path in paths}
    if None in dates.values():
        return {"": list(dates)}
    groups: dict[str, list[Path]] = {}
    for path, date in dates.items():
        groups.setdefault(date or "", []).append(path)
    return dict(sorted(groups.items()))


def result_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files, each folder replaced by the result files in it and its subfolders.

    Raises:
        ResultFileError: a folder holds no result file.
    """
    files: list[Path] = []
    for path in paths:
        inside = _results(path) if path.is_dir() else [path]
        if not inside:
            raise ResultFileError(f"{path}: holds no result file, {SUFFIXES}")
        files += inside
    return list(dict.fromkeys(files))


def _results(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if is_result(path) and path.is_file())
