"""`llmbench grade`: test answers from a file, write, print."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio

from llmbench.errors import UsageError
from llmbench.reports.console import Console
from llmbench.runs.grade import grade
from llmbench.runs.options import GradeOptions
from llmbench.runs.run import Run

STDIN = Path("-")
STDIN_NAME = "stdin"


def main(options: GradeOptions) -> int:
    """Grade everything and return the exit code.

    Raises:
        LlmbenchError: nothing can be graded, or the run failed.
    """
    console = Console(options.quiet)

    def finish(run: Run, console: Console) -> int:
        # Imported late: tables are slow to load, and an early error must not wait for them.
        from llmbench.runs.finish import finish_run

        return finish_run(options.out, run, console)

    with _file(options.answers) as path:
        name = STDIN_NAME if options.answers == STDIN else None
        chosen = GradeOptions.from_values({**options.explicit, "answers": path})
        code, faults = anyio.run(grade, chosen, finish, console, name)
    return code or int(faults > 0)


@contextmanager
def _file(answers: Path) -> Iterator[Path]:
    """Yield a file that can be read twice.

    Raises:
        UsageError: stdin cannot be kept.
    """
    if answers != STDIN:
        yield answers
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="llmbench-")
    except OSError as error:
        raise UsageError(f"{STDIN_NAME}: cannot be kept: {error.strerror}: set TMPDIR") from None
    with folder:
        path = Path(folder.name, STDIN_NAME)
        try:
            # By its number: Python has no object for a standard input that is closed.
            with open(0, "rb", closefd=False) as stdin, path.open("wb") as file:
                shutil.copyfileobj(stdin, file)
        except OSError as error:
            reason = error.strerror
            raise UsageError(f"{STDIN_NAME}: cannot be kept in {folder.name}: {reason}") from None
        yield path
