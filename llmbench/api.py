"""llmbench from Python: run, load, compare; the package offers these names as its own."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import polars as pl
from anyio.from_thread import start_blocking_portal

from llmbench import stats
from llmbench.attempt import AttemptPipeline
from llmbench.cli import run as command
from llmbench.cli.options.run import Options, from_flags
from llmbench.reports.console import Console, RunStatus
from llmbench.runs import record, resume
from llmbench.runs.finish import finish_run
from llmbench.stats import Comparison
from llmbench.store import tables

__all__ = ["Comparison", "Flags", "compare", "load", "run"]

PathLike = str | Path
Words = str | Sequence[str]
Paths = PathLike | Sequence[PathLike]


class Flags(TypedDict, total=False):
    """What `run` takes: the flags of `llmbench run`, with their meaning, units and defaults.

    A flag that may be repeated takes one value or several. `quiet` is True unless given. `resume`
    takes the name of a run, or True for the latest.
    """

    provider: str
    model: Words
    target: Words
    config: PathLike
    base_url: str
    runs: int
    repair: int
    concurrency: int
    rpm: float
    tpm: float
    no_warm_up: bool
    max_tokens: int
    temperature: float
    seed: int
    prices: PathLike
    max_cost: float
    connect_timeout: float
    first_token_timeout: float
    token_timeout: float
    answer_timeout: float
    langs: Words
    problems: Paths
    only: Words
    sandbox: str
    sandboxes: int
    docker_timeout: float
    warm: bool
    docker_runtime: str
    out: Paths
    quiet: bool
    cache: bool
    resume: str | bool


def run(**flags: Unpack[Flags]) -> pl.DataFrame:
    """Ask models, test their answers, and return a row per problem and run.

    Columns are those that `llmbench schema` tells. Rows are of first answers; later rounds are in
    the file beside each of `out`. Journal, answers and logs are kept in `_work`, as by the command.
    Works in a notebook, too. An attempt that was never asked, because its target was stopped or the
    money is spent, has no row, and a line on stderr says so.

    Raises:
        UsageError: what was asked cannot be done as written.
        RunError: the run failed; what was done by then is in the work folder.
    """
    options = resume.merge_options(from_flags({"quiet": True} | flags))
    # A thread of its own: a notebook's is busy with a loop already.
    with start_blocking_portal() as portal:
        return portal.call(command.run, options, _frame)


def load(*paths: PathLike) -> pl.DataFrame:
    """The rows of result files, CSV and Parquet alike.

    Columns are those that `llmbench schema` tells, and `source`, the path as it was given.

    Raises:
        ResultFileError: a file is not there, is no result table, or contradicts itself.
    """
    return tables.load([Path(path) for path in paths])


def compare(*results: PathLike | pl.DataFrame, base: str | None = None) -> Comparison:
    """What differs between results: files, or frames as `run` and `load` return them.

    A target of a later result is compared with the same target in the first, or with the only one
    there; of one result, each two of its targets; with `base`, all others with that target.

    Raises:
        ResultFileError: a file cannot be read, nothing can be compared, or there are later rounds.
    """
    return stats.compare(list(_named(results)), base)


def _named(results: Sequence[PathLike | pl.DataFrame]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Each result under its name; a frame that was loaded from several files is several."""
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


def _frame(
    options: Options, pipeline: AttemptPipeline, ended: RunStatus, console: Console
) -> pl.DataFrame:
    finish_run(options.out, pipeline, ended, console)
    return tables.to_frame(record.rows(pipeline, record.journal_index(pipeline, console)))
