"""The work folder of a run: what people read when they want to know why."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from llmbench.errors import OutputError
from llmbench.records import Attempt, Target


def new_run_id() -> str:
    """A name that no other run has: date, time and chance."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def attempt_dir(target: Target, problem_id: str, run: int, round_: int) -> Path:
    """Where in a run's folder the texts of an attempt are; later rounds in that of the first."""
    first = Path(target.slug, problem_id, str(run))
    return first if round_ == 1 else first / f"round-{round_}"


class RunDirectory:
    """`<root>/<run id>/`, with a folder for each attempt below it."""

    def __init__(self, root: Path, earlier: str | None = None) -> None:
        """Make the folder of a new run, or use that of an earlier one.

        Raises:
            OutputError: it cannot be made.
        """
        self.run_id = earlier or new_run_id()
        self.path = root / self.run_id
        try:
            self.path.mkdir(parents=True, exist_ok=earlier is not None)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be made: {error.strerror}") from None

    def keep(self, attempt: Attempt, texts: Mapping[str, str]) -> None:
        """Write texts by file name into the attempt's folder.

        Raises:
            OutputError: the disk is full or the folder is gone.
        """
        folder = self.path / attempt_dir(attempt.target, *attempt.key[1:])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                (folder / name).write_bytes(text.encode("utf-8", "replace"))
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
