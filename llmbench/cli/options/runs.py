"""Options of `llmbench runs`, an action each."""

from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.cli.options import FORMATS
from llmbench.cli.options.sweep import is_date
from llmbench.options import Check, Options, option, strings
from llmbench.plan import WORK_FOLDER

DESCRIPTION = """\
List the runs in the work folder with date, targets, state and size, and remove those that you no
longer need."""

EPILOG = """\
A run's folder holds its journal, answers, code and logs. Result files of --out stay when it is
removed, but `show` and `report` no longer find the texts, and the run cannot be resumed. A run
that a process is writing is never removed. Without an action, runs are listed.

examples:
  llmbench runs
  llmbench runs remove 20260131-013000-ab12
  llmbench runs remove --before 2026-01-01"""


@frozen(kw_only=True, slots=False)
class RunsOptions(Options):
    """The work folder."""

    work_dir: Path = field(
        default=WORK_FOLDER,
        converter=Path,
        metadata=option("folder that holds the runs' folders", "FOLDER", default="_work"),
    )


@frozen(kw_only=True, slots=False)
class ListOptions(RunsOptions):
    """The runs to list."""

    format: str = field(default="text", metadata=option("output format", choices=FORMATS))


@frozen(kw_only=True, slots=False)
class RemoveOptions(RunsOptions):
    """The runs to remove."""

    run: tuple[str, ...] = field(
        default=(),
        converter=strings,
        metadata=option("name of a run to remove", "RUN", positional=True),
    )
    before: str | None = field(
        default=None,
        metadata=option(
            "also remove all runs that began before this date",
            "YYYY-MM-DD",
            check=Check("a date such as 2026-01-31", is_date),
        ),
    )


COMMAND = Command(
    "llmbench runs",
    DESCRIPTION,
    epilog=EPILOG,
    default_action="list",
    actions={
        "list": Command("llmbench runs list", "list runs, a line each", ListOptions),
        "remove": Command("llmbench runs remove", "remove the folders of runs", RemoveOptions),
    },
)
