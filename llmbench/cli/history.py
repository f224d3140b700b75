"""`llmbench history`: the trend over dated results."""

from llmbench import stats
from llmbench.cli.options.history import HistoryOptions
from llmbench.reports import history as history_report
from llmbench.reports.console import Console
from llmbench.reports.render import render
from llmbench.store import tables
from llmbench.store.dated_results import find_dated


def main(options: HistoryOptions) -> int:
    """Show the trend and return the exit code.

    Raises:
        UsageError: there is no dated result, or one cannot be read.
    """
    latest = list(find_dated(options.folder).items())[-(options.last or 0) :]
    lines = stats.history([(date, tables.load(paths, once=True)) for date, paths in latest])
    document = history_report.document(lines)
    Console(quiet=False).print_tables(render(document, options.format))
    return 0
