"""The accepted nights of a folder of dated results: `accepted.json`."""

import json
from collections.abc import Mapping
from pathlib import Path

from llmbench.errors import ResultFileError
from llmbench.store import atomic

NAME = "accepted.json"
FORMER_NAME = "last-good"
"""File of version 0.1, with the one date that held for all targets."""


def read(folder: Path, targets: Mapping[str, str]) -> dict[str, str]:
    """Return the date of the accepted night by target.

    `targets` holds the first date of each known target: a file of version 0.1 names none.

    Raises:
        ResultFileError: the file is not such a list of dates.
    """
    path, former = folder / NAME, folder / FORMER_NAME
    if not path.exists():
        if not former.exists():
            return {}
        date = former.read_text(encoding="utf-8", errors="replace").strip()
        return {target: date for target, first in targets.items() if first <= date}
    try:
        accepted = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultFileError(f"{path}: cannot be read: {error}; remove it to begin anew") from None
    if not isinstance(accepted, dict) or not all(isinstance(d, str) for d in accepted.values()):
        reason = "is not a mapping of targets to dates"
        raise ResultFileError(f"{path}: {reason}; remove it to begin anew")
    return accepted


def write(folder: Path, accepted: Mapping[str, str]) -> None:
    """Write the dates of the accepted nights.

    Raises:
        OutputError: the file cannot be written.
    """
    atomic.write_text(folder / NAME, json.dumps(dict(sorted(accepted.items())), indent=1) + "\n")
