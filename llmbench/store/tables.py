"""Rows to polars frames to files and back, from the one schema."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from itertools import islice
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from llmbench.errors import OutputError, ResultFileError
from llmbench.records import AttemptKey, Column, Outcome, Row, columns
from llmbench.store import atomic, result_paths

_DTYPES: Mapping[type, type[pl.DataType]] = {
    str: pl.String,
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
}
SCHEMA = pl.Schema({column.name: _DTYPES[column.type] for column in columns()})

WRITERS: Mapping[str, Callable[[pl.LazyFrame, Path, dict[str, str]], None]] = {
    ".csv": lambda table, path, _: table.sink_csv(path),
    ".parquet": lambda table, path, about: table.sink_parquet(
        path, metadata=about, row_group_size=GROUP_ROWS
    ),
}
READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    # As text, so that what does not fit the schema is ours to name.
    ".csv": lambda path: pl.read_csv(path, infer_schema=False, glob=False),
    ".parquet": lambda path: pl.read_parquet(path, glob=False),
}
Table = pl.DataFrame
"""For those who hand a table on and know nothing of frames."""

BATCH_ROWS = 2000
GROUP_ROWS = 10_000
"""Rows of Parquet that are held in memory: with their logs, some 20 MiB."""
SOURCE = "source"
"""Column that `load` adds: the file that a row came from."""

_BOOLEANS = {"true": True, "false": False}
_MAY_BE_EMPTY = ("tags", "log_head")


def scan_rows(rows: Callable[[], Iterable[Row]]) -> pl.LazyFrame:
    """Rows, in their order, as a table that is read in batches each time it is used."""

    def batches(
        wanted: list[str] | None, where: pl.Expr | None, most: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = iter(rows() if most is None else islice(rows(), most))
        while batch := list(islice(left, BATCH_ROWS)):
            to_frame = pl.DataFrame(list(map(astuple, batch)), schema=SCHEMA, orient="row")
            to_frame = to_frame if wanted is None else to_frame.select(wanted)
            yield to_frame if where is None else to_frame.filter(where)

    return register_io_source(batches, schema=SCHEMA)


def to_frame(rows: Iterable[Row]) -> pl.DataFrame:
    """Rows as a table in memory, in order of target, language, problem and run."""
    table = scan_rows(lambda: rows).collect()
    return table.sort("target", "lang", "problem_id", "run", "round", maintain_order=True)


def without_logs(table: pl.LazyFrame) -> pl.DataFrame:
    """The table in memory, with the logs of infrastructure errors alone: logs are the bulk."""
    log = pl.when(pl.col("score").is_null()).then("log_head").otherwise(pl.lit(""))
    return table.with_columns(log_head=log).collect(engine="streaming")


def rows(table: pl.DataFrame) -> list[Row]:
    """The rows of a frame that has the declared columns."""
    return [Row(**line) for line in table.select(SCHEMA.names()).iter_rows(named=True)]


def write(
    table: pl.DataFrame | pl.LazyFrame,
    path: Path,
    about: Mapping[str, str] | None = None,
    writer: str = "llmbench",
) -> None:
    """Write a table in the format of the path's ending; the file is whole or untouched.

    `about` becomes the metadata of the formats that have some. What a killed writer left is
    written over by the next of the same name.

    Raises:
        OutputError: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{writer}.tmp")
    try:
        WRITERS[path.suffix](table.lazy(), fresh, dict(about or {}))
        atomic.replace_atomically(fresh, path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"{path}: cannot be written: {reason}; the journal has all rows"
        ) from None
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)


def write_with_repairs(
    first: pl.DataFrame | pl.LazyFrame,
    later: pl.DataFrame | pl.LazyFrame | None,
    path: Path,
    about: Mapping[str, str],
    writer: str = "llmbench",
) -> list[Path]:
    """Write a result, and beside it its later rounds: the files that were written.

    Without any, a file of later rounds that is there goes: it was of an older result.

    Raises:
        OutputError: as `write`.
    """
    beside = result_paths.repair_path(path)
    write(first, path, about, writer)
    if later is not None:
        write(later, beside, about, writer)
        return [path, beside]
    try:
        beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{beside}: cannot be removed: {error.strerror}") from None
    return [path]


def load(paths: Sequence[Path], *, once: bool = False) -> pl.DataFrame:
    """The rows of result files, CSV and Parquet alike, in the order of the files.

    Columns: those declared in `records.Row`, and `source`, the path as it was given. A column that
    an older file does not have is null, or as its declaration says; a column that is not ours is
    left out. `once` refuses an attempt that several files hold, and answers of later rounds.

    Raises:
        ResultFileError: a file is not there, is no result table, or contradicts itself.
    """
    read_ = [read(path).with_columns(pl.lit(str(path)).alias(SOURCE)) for path in paths]
    table = pl.concat([pl.DataFrame(schema={**SCHEMA, SOURCE: pl.String()}), *read_])
    if once:
        where = ", ".join(map(str, paths))
        _check_single(where, table)
        refuse_repairs(where, table)
    return table


def read_result(path: Path) -> pl.DataFrame:
    """The rows of one result: a file, or a folder whose files are of one night.

    Raises:
        ResultFileError: as `load`, or the folder holds no result file.
    """
    paths = sorted(filter(result_paths.is_result, path.iterdir())) if path.is_dir() else [path]
    if not paths:
        raise ResultFileError(f"{path}: holds no result file, {' or '.join(READERS)}")
    return load(paths, once=True).drop(SOURCE)


def with_repairs(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Those of loaded rows beside whose file is one of later rounds, and the later rounds of them.

    None where no file has one beside it.

    Raises:
        ResultFileError: as `load`.
    """
    found = []
    for (source,), rows in table.group_by(SOURCE, maintain_order=True):
        beside = result_paths.repair_path(Path(str(source)))
        if beside.exists():
            run = ("target", "problem_id", "run")
            found.append((rows.select(SCHEMA.names()), read(beside).join(rows, on=run, how="semi")))
    if not found:
        return None
    first, later = zip(*found, strict=True)
    return pl.concat(first), pl.concat(later)


def refuse_repairs(where: str, table: pl.DataFrame) -> None:
    """Refuse answers of later rounds: figures of first answers and of repairs are never mixed.

    Raises:
        ResultFileError: there is one.
    """
    if "round" in table.columns and (table["round"] > 1).any():
        raise ResultFileError(
            f"{where}: holds answers of later rounds: name the file of the first answers"
        )


def read(path: Path) -> pl.DataFrame:
    """The rows of one result file, with the declared columns in their order; raises as `load`."""
    if path.suffix not in READERS:
        raise ResultFileError(f"{path}: a result file ends in {' or '.join(READERS)}")
    try:
        found = READERS[path.suffix](path)
    except OSError as error:
        reason = error.strerror or "no such file, or not a file"
        raise ResultFileError(f"{path}: cannot be read: {reason}") from None
    except pl.exceptions.PolarsError as error:
        raise ResultFileError(f"{path}: no result table: {str(error).splitlines()[0]}") from None
    found = found.rename(_former_names(found))
    needed = [c.name for c in columns() if not c.nullable and c.default is None]
    missing = [name for name in needed if name not in found.columns]
    if missing:
        raise ResultFileError(
            f"{path}: lacks {', '.join(missing)}: no result of llmbench, or of a version too old "
            "to read; run it again to get all columns"
        )
    table = found.select(_column(path, found, column) for column in columns())
    _check(path, table)
    return table


def _former_names(found: pl.DataFrame) -> dict[str, str]:
    """The renamed columns that a frame has under their former name only."""
    return {
        column.formerly: column.name
        for column in columns()
        if column.formerly in found.columns and column.name not in found.columns and column.formerly
    }


def _column(path: Path, found: pl.DataFrame, column: Column) -> pl.Series:
    """One column as declared, also where another tool has written it in its own way."""
    name, dtype = column.name, SCHEMA[column.name]
    if name not in found.columns:
        return pl.Series(name, [column.default] * len(found), dtype)
    given = found[name]
    if name in _MAY_BE_EMPTY:
        given = given.fill_null("")
    try:
        if given.dtype == pl.String and dtype == pl.Boolean:
            return given.str.to_lowercase().replace_strict(_BOOLEANS, return_dtype=dtype)
        if given.dtype == pl.String and dtype == pl.Int64:
            given = given.str.replace(r"\.0$", "")
        return given.cast(dtype)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ResultFileError(f"{path}: column {name} is not {dtype}: {reason}") from None


def _check(path: Path, table: pl.DataFrame) -> None:
    """Refuse rows that cannot be told apart, or of which the essential is not there."""
    for column in columns():
        holes = table[column.name].is_null()
        if not column.nullable and holes.any():
            at = holes.arg_true()[0] + 1
            raise ResultFileError(f"{path}: row {at} has no {column.name}")
    strange = set(table["outcome"]) - set(Outcome)
    if strange:
        raise ResultFileError(
            f"{path}: outcome {min(strange)!r} is not known: a result of a newer llmbench?"
        )
    _check_scores(path, table)
    _check_single(str(path), table)


def _check_scores(path: Path, table: pl.DataFrame) -> None:
    """Refuse a score that is not that of its outcome: what edited a file may have missed one."""
    scores = {outcome.value: outcome.score for outcome in Outcome}
    score = pl.col("outcome").replace_strict(scores, return_dtype=pl.Float64)
    right = score.eq_missing(pl.col("score")) & (score == 100).eq_missing(pl.col("passed"))
    wrong = table.with_row_index("row", 1).filter(~right)
    if len(wrong):
        row, outcome = wrong["row"][0], wrong["outcome"][0]
        raise ResultFileError(
            f"{path}: row {row} contradicts itself: {outcome} with score {wrong['score'][0]} and "
            f"passed {wrong['passed'][0]}"
        )


def _check_single(where: str, table: pl.DataFrame) -> None:
    key = list(AttemptKey._fields)
    double = table.filter(pl.struct(key).is_duplicated())
    if len(double):
        what = " ".join(f"{name} {double[name][0]}" for name in key)
        raise ResultFileError(f"{where}: several rows for {what}: a run writes one; keep one")
