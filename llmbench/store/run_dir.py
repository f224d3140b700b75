"""The work folder of a run, where people read the answers, code and logs of its attempts."""

import logging
import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from llmbench.errors import OutputError
from llmbench.records import Attempt

_logger = logging.getLogger(__name__)


def new_run_id() -> str:
    """Return a unique name for a run, of date, time and four random digits."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def attempt_dir(slug: str, problem_id: str, run: int, round_: int) -> Path:
    """Return the folder of an attempt's texts, relative to the folder of its run.

    `slug` is that of its target. A repair has a folder inside that of the first answer.
    """
    first = Path(slug, problem_id, str(run))
    return first if round_ == 1 else first / f"round-{round_}"


class RunDirectory:
    """The folder `<root>/<run id>/`, with a folder for each attempt below it."""

    def __init__(self, root: Path, run_id: str | None = None) -> None:
        """Create the folder of a new run, or use the folder of the run with this id.

        Raises:
            OutputError: the folder cannot be created.
        """
        self.run_id = run_id or new_run_id()
        self.path = root / self.run_id
        try:
            self.path.mkdir(parents=True, exist_ok=run_id is not None)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be created: {error.strerror}") from None
        _logger.info("run %s works in %s", self.run_id, self.path)

    def keep(self, attempt: Attempt, texts: Mapping[str, str]) -> None:
        """Write texts by file name into the attempt's folder.

        Raises:
            OutputError: the disk is full, or the folder was removed.
        """
        folder = self.path / attempt_dir(attempt.target.slug, *attempt.key[1:])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                (folder / name).write_bytes(text.encode("utf-8", "replace"))
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
