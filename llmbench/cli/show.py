"""`llmbench show`: one attempt, as far as it is still there."""

from collections.abc import Sequence

from llmbench import config
from llmbench.cli.options.show import Options
from llmbench.cli.screen import Screen
from llmbench.errors import ResultFileError
from llmbench.records import Row
from llmbench.reports.attempt import attempt
from llmbench.reports.texts import Texts
from llmbench.sandboxes.runners import load_runners
from llmbench.store import kept, tables


def main(options: Options) -> int:
    """Show an attempt and return the exit code.

    Raises:
        UsageError: there is no such attempt, or several fit.
    """
    runs = _runs(options, tables.rows(tables.read(options.result)))
    row = next((row for row in runs if row.run == options.run), None)
    if row is None:
        known = ", ".join(f"#{row.run}" for row in runs)
        raise ResultFileError(f"{options.problem}#{options.run}: no such run; there are: {known}")
    found = kept.find(row, kept.work_folders(options.result.parent, options.work))
    texts = Texts.load(options.problems, load_runners(config.shipped("runners")))
    outcomes = [f"#{each.run} {each.outcome.replace('_', ' ')}" for each in runs]
    screen = Screen(quiet=False)
    screen.read(attempt(row, outcomes, list(texts.sections(row, found))))
    if found.work is not None:
        screen.say("", f"kept in: {found.work}")
    return 0


def _runs(options: Options, rows: Sequence[Row]) -> list[Row]:
    """The rows of one problem and target, in the order of their runs."""
    asked = [row for row in rows if row.problem_id == options.problem]
    if not asked:
        known = ", ".join(sorted({row.problem_id for row in rows}))
        raise ResultFileError(
            f"{options.problem}: no such problem in {options.result}; there are: {known}"
        )
    targets = sorted({row.target for row in asked})
    if options.target is not None:
        asked = [row for row in asked if options.target in (row.target, row.model)]
    if len({row.target for row in asked}) != 1:
        wrong = f"{options.target}: no such target" if not asked else "several targets"
        raise ResultFileError(f"{wrong}: choose with --target from {', '.join(targets)}")
    return sorted(asked, key=lambda row: row.run)
