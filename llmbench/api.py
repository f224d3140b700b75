"""llmbench from Python: run, grade, load and compare; the package offers these names as its own."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import ParamSpec, cast

import polars as pl
from anyio.from_thread import start_blocking_portal

from llmbench import stats
from llmbench.reports.console import Console
from llmbench.runs import grade as grading
from llmbench.runs import resume
from llmbench.runs import run as running
from llmbench.runs.finish import finish_run
from llmbench.runs.options import GradeOptions, RunOptions
from llmbench.runs.run import Run
from llmbench.runs.signals import Relay, SignalSource
from llmbench.stats import Comparison
from llmbench.store import tables

__all__ = ["Comparison", "compare", "grade", "load", "run"]

P = ParamSpec("P")
PathLike = str | Path


def _with_keywords_of(
    options: Callable[P, object],
) -> Callable[[Callable[..., pl.DataFrame]], Callable[P, pl.DataFrame]]:
    """Give a function the signature of a class of options, for type checkers and editors."""

    def decorate(function: Callable[..., pl.DataFrame]) -> Callable[P, pl.DataFrame]:
        signature = inspect.signature(options).replace(return_annotation=pl.DataFrame)
        function.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect
        return cast("Callable[P, pl.DataFrame]", function)

    return decorate


@_with_keywords_of(RunOptions)
def run(**keywords: object) -> pl.DataFrame:
    """Ask models, test their answers, and return a row per problem and run.

    Keywords are the options of `llmbench run`, with their meaning, units and defaults; `quiet` is
    True unless it is given. An option that may be repeated takes one value or several. `resume`
    takes the name of a run, or "latest".

    Columns are those of `llmbench schema`. Rows are first answers; repairs are in the file beside
    each of `out`. Journal, answers and logs are kept in `_work`. Also works in a notebook. An
    attempt that was never asked, because its target stopped or the budget is spent, has no row, and
    a line on stderr says so.

    A first Ctrl-C starts no more attempts, finishes those in flight and returns the rows so far. A
    second one gives up those in flight, writes the tables and raises KeyboardInterrupt.

    Raises:
        UsageError: an option is unknown or wrong, or something that it names is not there.
        RunError: the run failed; finished attempts are in the work folder.
    """
    options = resume.merge_options(RunOptions.from_values({"quiet": True, **keywords}))

    def finish(ended: Run, console: Console) -> pl.DataFrame:
        finish_run(options.out, ended, console)
        return tables.to_frame(ended.view.rows())

    async def start(signals: SignalSource) -> pl.DataFrame:
        console = Console(options.quiet)
        return await running.run(options, finish, console, open_signals=signals)

    return _on_own_thread(start)


@_with_keywords_of(GradeOptions)
def grade(**keywords: object) -> pl.DataFrame:
    """Grade answers from a file and return a row for each; no model is asked.

    Keywords are the options of `llmbench grade`; `answers` is the path of the file or of an earlier
    run's folder, and `quiet` is True unless it is given. A line that cannot be graded is skipped,
    and a line on stderr says so.

    Raises:
        UsageError: an option is unknown or wrong, or something that it names is not there.
        RunError: no answer can be graded, or the run failed.
    """
    options = GradeOptions.from_values({"quiet": True, **keywords})

    def finish(ended: Run, console: Console) -> pl.DataFrame:
        finish_run(options.out, ended, console)
        return tables.to_frame(ended.view.rows())

    async def start(signals: SignalSource) -> pl.DataFrame:
        console = Console(options.quiet)
        table, _ = await grading.grade(options, finish, console, open_signals=signals)
        return table

    return _on_own_thread(start)


def _on_own_thread(start: Callable[[SignalSource], Awaitable[pl.DataFrame]]) -> pl.DataFrame:
    """Run a coroutine on a thread of its own: a notebook's thread runs an event loop already.

    Raises:
        KeyboardInterrupt: a second Ctrl-C ended the run, or one came before its first request.
    """
    relay = Relay()
    with start_blocking_portal() as portal:
        future = portal.start_task_soon(start, relay.signals)
        try:
            with relay.receiving(portal, future):
                table = future.result()
        except CancelledError:
            raise KeyboardInterrupt from None
    if relay.received > 1:
        raise KeyboardInterrupt
    return table


def load(*paths: PathLike) -> pl.DataFrame:
    """Return the rows of result files, CSV and Parquet alike.

    Columns are those of `llmbench schema`, and `source`, the path as it was given.

    Raises:
        ResultFileError: a file is not there, is no result table, or contradicts itself.
    """
    return tables.load([Path(path) for path in paths])


def compare(*results: PathLike | pl.DataFrame, baseline: str | None = None) -> Comparison:
    """Compare results: files, or frames as `run` and `load` return them.

    A target of a later result is compared with the same target in the first, or with the only one
    there. Of one result, each two of its targets are compared; with `baseline`, all others with
    that target.

    Raises:
        ResultFileError: a file cannot be read, nothing can be compared, or there are repairs.
    """
    return stats.compare(list(_named(results)), baseline)


def _named(results: Sequence[PathLike | pl.DataFrame]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each result with its name; a frame that was loaded from several files is several."""
    for number, result in enumerate(results, 1):
        if not isinstance(result, pl.DataFrame):
            yield str(result), tables.read_result(Path(result))
            continue
        tables.refuse_repairs(f"result {number}", result)
        if tables.SOURCE in result.columns:
            for (source,), rows in result.group_by([tables.SOURCE], maintain_order=True):
                yield str(source), rows
        else:
            yield f"result {number}", result
