"""Options of `llmbench sweep`."""

from datetime import date as day
from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.options import Check, Options, option

DESCRIPTION = """\
Run each target of a sweep file on each of its problem sets, one after another in one process, and
write one Parquet file per target: <out>/<set>/<date>/<target>.parquet."""

EPILOG = """\
A target that has its file is not asked again. To continue a sweep that was cut short, start it once
more with the same --date. A target that is not finished has no file, so every file is complete.

a sweep file:
  out: nights
  run: {runs: 3, max_sandboxes: 4}      # options of `llmbench run`, for all
  targets:
    - {provider: lmstudio, model: qwen3-coder}
    - {provider: openrouter, model: [openai/gpt-4.1, anthropic/claude-sonnet-4]}
  sets:
    small: {only: [python-*, go-*], temperature: 0}
    all: {}

exit codes: 0 every file is there, 1 something failed, 2 wrong usage, 130 Ctrl-C"""


def is_date(text: str) -> bool:
    """True for a date such as 2026-01-31."""
    try:
        return bool(day.fromisoformat(text))
    except ValueError:
        return False


@frozen(kw_only=True, slots=False)
class SweepOptions(Options):
    """The sweep, and the date of its files."""

    file: Path = field(converter=Path, metadata=option("sweep file, YAML", "FILE", positional=True))
    date: str | None = field(
        default=None,
        metadata=option(
            "date of the files",
            "YYYY-MM-DD",
            default="today",
            check=Check("a date such as 2026-01-31", is_date),
        ),
    )
    quiet: bool = field(
        default=False,
        metadata=option("print warnings only, no progress and no summary", short="-q"),
    )

    @property
    def day(self) -> str:
        """The date of the files as YYYY-MM-DD."""
        chosen = day.fromisoformat(self.date) if self.date else day.today()
        return f"{chosen:%Y-%m-%d}"


COMMAND = Command("llmbench sweep", DESCRIPTION, SweepOptions, EPILOG)
