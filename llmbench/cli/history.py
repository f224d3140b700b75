"""`llmbench history`: the trend over dated results."""

from llmbench import stats
from llmbench.cli.options.history import HistoryOptions
from llmbench.reports import history as trend
from llmbench.reports.console import Console
from llmbench.store import tables
from llmbench.store.dated_results import find_dated


def main(options: HistoryOptions) -> int:
    """Show the trend and return the exit code.

    Raises:
        UsageError: there is no dated result, or one cannot be read.
    """
    found = list(find_dated(options.folder).items())[-(options.last or 0) :]
    lines = stats.history([(night, tables.load(paths, once=True)) for night, paths in found])
    console = Console(quiet=False)
    if options.format == "json":
        console.write(trend.as_json(lines))
    elif options.format == "markdown":
        console.write(trend.markdown(lines))
    else:
        console.print_tables([*trend.text(lines)])
    return 0
