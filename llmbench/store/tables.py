"""Result tables: rows to polars frames, frames to files, and files back to frames."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from polars.io.plugins import register_io_source

from llmbench.column_types import Column
from llmbench.errors import OutputError, ResultFileError, UsageError
from llmbench.records import AttemptKey, Outcome, Row, columns
from llmbench.store import atomic, former_names, provenance, result_paths
from llmbench.store.result_formats import FORMATS, SUFFIXES

_DTYPES: Mapping[type, type[pl.DataType]] = {
    str: pl.String,
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
}
SCHEMA = pl.Schema({column.name: _DTYPES[column.type] for column in columns()})

Table = pl.DataFrame
"""The type of a table, for callers that pass it on and do not use polars."""

BATCH_ROWS = 2000
SOURCE = "source"
"""The column that `load` adds: the file of a row."""

_BOOLEANS = {"true": True, "false": False}
_MAY_BE_EMPTY = ("tags", "log_head")
_logger = logging.getLogger(__name__)


def scan_rows(rows: Callable[[], Iterable[Row]]) -> pl.LazyFrame:
    """Return rows, in their order, as a table that is read in batches each time it is used."""

    def batches(
        names: list[str] | None, where: pl.Expr | None, limit: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        remaining = iter(rows() if limit is None else islice(rows(), limit))
        while batch := list(islice(remaining, BATCH_ROWS)):
            frame = pl.DataFrame(list(map(astuple, batch)), schema=SCHEMA, orient="row")
            frame = frame if names is None else frame.select(names)
            yield frame if where is None else frame.filter(where)

    return register_io_source(batches, schema=SCHEMA)


def to_frame(rows: Iterable[Row]) -> pl.DataFrame:
    """Return rows as a table in memory, by target, language, problem, run and round."""
    table = scan_rows(lambda: rows).collect()
    return table.sort("target", "lang", "problem_id", "run", "round", maintain_order=True)


def without_logs(table: pl.LazyFrame) -> pl.DataFrame:
    """Return the table in memory, keeping only the logs of infrastructure errors.

    Logs are the bulk of a table.
    """
    log = pl.when(pl.col("score").is_null()).then("log_head").otherwise(pl.lit(""))
    return table.with_columns(log_head=log).collect(engine="streaming")


def rows(table: pl.DataFrame) -> list[Row]:
    """Return the rows of a frame that has the declared columns."""
    return [Row(**values) for values in table.select(SCHEMA.names()).iter_rows(named=True)]


def write(
    table: pl.DataFrame | pl.LazyFrame,
    path: Path,
    metadata: Mapping[str, str] | None = None,
    writer: str = "llmbench",
) -> None:
    """Write a table in the format of the path's suffix. The file is replaced as a whole.

    `metadata` is written by the formats that support it. `writer` names the temporary file, so
    that a later call of the same writer overwrites the remains of a killed one.

    Raises:
        OutputError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{writer}.tmp")
    try:
        FORMATS[path.suffix].write(table.lazy(), temporary, metadata or {})
        atomic.replace_atomically(temporary, path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"{path}: cannot be written: {reason}", hint="the journal has all rows"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _logger.info("wrote %s", path)


def write_with_repairs(
    table: pl.DataFrame | pl.LazyFrame,
    repairs: pl.DataFrame | pl.LazyFrame | None,
    path: Path,
    metadata: Mapping[str, str],
    writer: str = "llmbench",
) -> list[Path]:
    """Write a result and, in a file beside it, its repairs. Return the paths of both.

    Without repairs, an existing file of repairs is removed: it belongs to an older result.

    Raises:
        OutputError: a file cannot be written or removed.
    """
    beside = result_paths.repair_path(path)
    write(table, path, metadata, writer)
    if repairs is not None:
        write(repairs, beside, metadata, writer)
        return [path, beside]
    try:
        beside.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{beside}: cannot be removed: {error.strerror}") from None
    return [path]


def load(paths: Sequence[Path], *, once: bool = False) -> pl.DataFrame:
    """Return the rows of result files of any format, in the order of the files.

    The columns are those of `records.Row`, and `source`, the path of the row's file. A column that
    an older file lacks is null, or has the default of its declaration. Other columns are dropped.
    With `once`, each attempt may occur in one file only, and repairs are refused.

    Raises:
        ResultFileError: a file is missing, is no result table, or contradicts itself.
    """
    frames = [read(path).with_columns(pl.lit(str(path)).alias(SOURCE)) for path in paths]
    table = pl.concat([pl.DataFrame(schema={**SCHEMA, SOURCE: pl.String()}), *frames])
    if once:
        where = ", ".join(map(str, paths))
        _check_unique(where, table)
        refuse_repairs(where, table)
    return table


def read_result(path: Path) -> pl.DataFrame:
    """Return the rows of one result: a file, or a folder of files of the same date.

    Raises:
        ResultFileError: as `load`, or the folder holds no result file.
    """
    paths = sorted(filter(result_paths.is_result, path.iterdir())) if path.is_dir() else [path]
    if not paths:
        raise ResultFileError(f"{path}: holds no result file, {SUFFIXES}")
    return load(paths, once=True).drop(SOURCE)


def with_repairs(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Return the loaded rows whose file has a file of repairs, and the repairs of these rows.

    None if no file has one.

    Raises:
        ResultFileError: as `load`.
    """
    pairs = []
    for (source,), rows in table.group_by(SOURCE, maintain_order=True):
        beside = result_paths.repair_path(Path(str(source)))
        if beside.exists():
            run = ("target", "problem_id", "run")
            pairs.append((rows.select(SCHEMA.names()), read(beside).join(rows, on=run, how="semi")))
    if not pairs:
        return None
    firsts, repairs = zip(*pairs, strict=True)
    return pl.concat(firsts), pl.concat(repairs)


def refuse_repairs(where: str, table: pl.DataFrame) -> None:
    """Refuse a table that holds repairs: statistics never mix them with first answers.

    Raises:
        ResultFileError: there is a repair.
    """
    if "round" in table.columns and (table["round"] > 1).any():
        raise ResultFileError(f"{where}: holds repairs", hint="name the file of the first answers")


def read(path: Path) -> pl.DataFrame:
    """Return the rows of one result file with the declared columns; raises as `load`."""
    if path.suffix not in FORMATS:
        raise ResultFileError(f"{path}: a result file ends in {SUFFIXES}")
    try:
        frame = FORMATS[path.suffix].read(path)
    except OSError as error:
        reason = error.strerror or "no such file, or not a file"
        raise ResultFileError(f"{path}: cannot be read: {reason}") from None
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ResultFileError(f"{path}: is no result table: {reason}") from None
    frame = frame.rename(_renames(frame))
    required = [c.name for c in columns() if not c.nullable and c.default is None]
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise ResultFileError(
            f"{path}: lacks {', '.join(missing)}: no result of llmbench, or of a version too old "
            "to read",
            hint="run it again to get all columns",
        )
    table = frame.select(_column(path, frame, column) for column in columns())
    _check(path, table)
    return table


def run_record(path: Path) -> dict[str, Any] | None:
    """Return the record of the run that wrote a result file, or None if it is not known.

    It is in the file, if the format has metadata, else beside it.
    """
    try:
        metadata = FORMATS[path.suffix].metadata(path).get("llmbench")
        record = provenance.read(path.parent) if metadata is None else json.loads(metadata)
    except (OSError, ValueError, UsageError, pl.exceptions.PolarsError):
        return None
    return record if isinstance(record, dict) and record.get("sessions") else None


def _renames(frame: pl.DataFrame) -> dict[str, str]:
    """Return the current names of the columns that a frame has under their former name only."""
    return {
        former: name
        for former, name in former_names.ROW.fields.items()
        if former in frame.columns and name not in frame.columns
    }


def _column(path: Path, frame: pl.DataFrame, column: Column) -> pl.Series:
    """Return one column in its declared type, also from files that other tools have written."""
    name, dtype = column.name, SCHEMA[column.name]
    if name not in frame.columns:
        return pl.Series(name, [column.default] * len(frame), dtype)
    values = frame[name]
    if name in _MAY_BE_EMPTY:
        values = values.fill_null("")
    try:
        if values.dtype == pl.String and dtype == pl.Boolean:
            return values.str.to_lowercase().replace_strict(_BOOLEANS, return_dtype=dtype)
        if values.dtype == pl.String and dtype == pl.Int64:
            values = values.str.replace(r"\.0$", "")
        return values.cast(dtype)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ResultFileError(f"{path}: column {name} is not {dtype}: {reason}") from None


def _check(path: Path, table: pl.DataFrame) -> None:
    """Refuse rows with missing values, unknown outcomes, contradictory scores or equal keys."""
    for column in columns():
        holes = table[column.name].is_null()
        if not column.nullable and holes.any():
            number = holes.arg_true()[0] + 1
            raise ResultFileError(f"{path}: row {number} has no {column.name}")
    unknown = set(table["outcome"]) - set(Outcome)
    if unknown:
        raise ResultFileError(
            f"{path}: the outcome {min(unknown)!r} is unknown",
            hint="a newer llmbench may have written it",
        )
    _check_scores(path, table)
    _check_unique(str(path), table)


def _check_scores(path: Path, table: pl.DataFrame) -> None:
    """Refuse a score that contradicts its outcome, for example after a manual edit."""
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


def _check_unique(where: str, table: pl.DataFrame) -> None:
    """Refuse two rows of the same attempt."""
    key = list(AttemptKey._fields)
    duplicates = table.filter(pl.struct(key).is_duplicated())
    if len(duplicates):
        attempt = " ".join(f"{name} {duplicates[name][0]}" for name in key)
        raise ResultFileError(
            f"{where}: several rows for {attempt}", hint="a run writes one; keep one"
        )
