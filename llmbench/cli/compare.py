"""`llmbench compare`: read, pair, tell, and fail on a regression if asked to."""

from llmbench import stats
from llmbench.cli.options.compare import CompareOptions
from llmbench.errors import UsageError
from llmbench.reports import comparison
from llmbench.reports.console import Console
from llmbench.store import tables

REGRESSION, INCOMPARABLE = 1, 2


def main(options: CompareOptions) -> int:
    """Compare results and return the exit code.

    0, or where it shall fail: 1 for a regression, else 2 where not every pair could be compared.

    Raises:
        UsageError: the results cannot be read, or no pair of them can be compared.
    """
    if options.fail_on_regression and len(options.results) == 1 and options.baseline is None:
        raise UsageError(
            "--fail-on-regression: one file has no before and after: give two, or --baseline TARGET"
        )
    console = Console(quiet=False)
    results = [(str(path), tables.read_result(path)) for path in options.results]
    compared = stats.compare(results, options.baseline)
    if options.format == "json":
        console.write(comparison.as_json(compared))
    elif options.format == "markdown":
        console.write(comparison.markdown(compared))
    else:
        console.print_tables([*comparison.text(compared)])
    if not options.fail_on_regression:
        return 0
    worse = compared.regressions(options.points).to_dicts()
    for line in worse:
        console.warn(f"regression: {comparison.verdict(line)}")
    for sentence in compared.incomparable:
        console.warn(sentence)
    if worse:
        return REGRESSION
    return INCOMPARABLE if compared.incomparable else 0
