"""`llmbench compare`: compare results, and fail on a regression if requested."""

from llmbench import stats
from llmbench.cli.options.compare import CompareOptions
from llmbench.errors import UsageError
from llmbench.reports import comparison as comparison_report
from llmbench.reports.console import Console
from llmbench.reports.render import render
from llmbench.store import tables

REGRESSION, INCOMPARABLE = 1, 2


def main(options: CompareOptions) -> int:
    """Compare results and return the exit code.

    Without --fail-on-regression it is 0. With it, 1 means a regression, else 2 that a pair could
    not be compared.

    Raises:
        UsageError: the results cannot be read, or no pair of them can be compared.
    """
    if options.fail_on_regression and len(options.results) == 1 and options.baseline is None:
        raise UsageError(
            "--fail-on-regression: one file has no before and after: give two, or --baseline TARGET"
        )
    console = Console(quiet=False)
    results = [(str(path), tables.read_result(path)) for path in options.results]
    comparison = stats.compare(results, options.baseline)
    console.print_tables(render(comparison_report.document(comparison), options.format))
    if not options.fail_on_regression:
        return 0
    regressions = comparison.regressions(options.points).to_dicts()
    for line in regressions:
        console.warn(f"regression: {comparison_report.regression(line)}")
    for sentence in comparison.incomparable:
        console.warn(sentence)
    if regressions:
        return REGRESSION
    return INCOMPARABLE if comparison.incomparable else 0
