"""Options of `llmbench history`."""

from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.cli.options import FORMATS
from llmbench.options import Options, option, whole_number

DESCRIPTION = """\
Show the trend over the dates of a folder: result files with a date in their name, such as
2026-01-31.parquet or 2026-01-31-model.parquet, or in a folder of that name."""


@frozen(kw_only=True, slots=False)
class HistoryOptions(Options):
    """Dated results, and the form of the output."""

    folder: Path = field(
        converter=Path,
        metadata=option("folder of dated result files", "DIR", positional=True),
    )
    last: int | None = field(
        default=None,
        metadata=option("only the last N dates", "N", default="all", check=whole_number(1)),
    )
    format: str = field(default="text", metadata=option("output format", choices=FORMATS))


COMMAND = Command("llmbench history", DESCRIPTION, HistoryOptions)
