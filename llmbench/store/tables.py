"""Rows to polars frames to files and back, from the one schema."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

import polars as pl

from llmbench.errors import OutputError, ResultFileError
from llmbench.records import AttemptKey, Outcome, Row, columns

_DTYPES: Mapping[type, type[pl.DataType]] = {
    str: pl.String,
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
}
SCHEMA = pl.Schema({column.name: _DTYPES[column.type] for column in columns()})

WRITERS: Mapping[str, Callable[[pl.DataFrame, Path], None]] = {
    ".csv": lambda frame, path: frame.write_csv(path),
    ".parquet": lambda frame, path: frame.write_parquet(path),
}
READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    # As text, so that what does not fit the schema is ours to name.
    ".csv": lambda path: pl.read_csv(path, infer_schema=False, glob=False),
    ".parquet": lambda path: pl.read_parquet(path, glob=False),
}
Table = pl.DataFrame
"""For those who hand a table on and know nothing of frames."""

BATCH_ROWS = 5000
SOURCE = "source"
"""Column that `load` adds: the file that a row came from."""

_BOOLEANS = {"true": True, "false": False}
_MAY_BE_EMPTY = ("tags", "log_head")


def frame(given: Iterable[Row]) -> pl.DataFrame:
    """Rows as a frame with the declared columns, in order of target, problem and run."""
    batches: list[pl.DataFrame] = [pl.DataFrame(schema=SCHEMA)]
    batch: list[tuple[object, ...]] = []
    for row in given:
        batch.append(astuple(row))
        if len(batch) == BATCH_ROWS:
            batches.append(pl.DataFrame(batch, schema=SCHEMA, orient="row"))
            batch = []
    if batch:
        batches.append(pl.DataFrame(batch, schema=SCHEMA, orient="row"))
    return pl.concat(batches).sort("target", "lang", "problem_id", "run", maintain_order=True)


def rows(table: pl.DataFrame) -> list[Row]:
    """The rows of a frame that has the declared columns."""
    return [Row(**line) for line in table.select(SCHEMA.names()).iter_rows(named=True)]


def write(table: pl.DataFrame, path: Path) -> None:
    """Write a table in the format of the path's ending; the file is whole or untouched.

    Raises:
        OutputError: it cannot be written.
    """
    fresh: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        fresh = Path(name)
        WRITERS[path.suffix](table, fresh)
        umask = os.umask(0)
        os.umask(umask)
        fresh.chmod(0o666 & ~umask)
        fresh.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"{path}: cannot be written: {reason}; the journal has all rows"
        ) from None
    finally:
        if fresh is not None:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)


def load(paths: Sequence[Path], *, once: bool = False) -> pl.DataFrame:
    """The rows of result files, CSV and Parquet alike, in the order of the files.

    Columns: those declared in `records.Row`, and `source`, the path as it was given. A column that
    may be null and that an older file does not have is null; a column that is not ours is left
    out. `once` refuses an attempt that several files hold.

    Raises:
        ResultFileError: a file is not there, is no result table, or contradicts itself.
    """
    read_ = [read(path).with_columns(pl.lit(str(path)).alias(SOURCE)) for path in paths]
    table = pl.concat([pl.DataFrame(schema={**SCHEMA, SOURCE: pl.String()}), *read_])
    if once:
        _check_single(", ".join(map(str, paths)), table)
    return table


def read_result(path: Path) -> pl.DataFrame:
    """The rows of one result: a file, or a folder whose files are of one night.

    Raises:
        ResultFileError: as `load`, or the folder holds no result file.
    """
    if not path.is_dir():
        return read(path)
    files = sorted(file for file in path.iterdir() if file.suffix in READERS)
    if not files:
        raise ResultFileError(f"{path}: holds no result file, {' or '.join(READERS)}")
    return load(files, once=True).drop(SOURCE)


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
    missing = [c.name for c in columns() if not c.nullable and c.name not in found.columns]
    if missing:
        raise ResultFileError(
            f"{path}: lacks {', '.join(missing)}: no result of llmbench, or of a version too old "
            "to read; run it again to get all columns"
        )
    table = found.select(_column(path, found, name, dtype) for name, dtype in SCHEMA.items())
    _check(path, table)
    return table


def _column(path: Path, found: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    """One column as declared, also where another tool has written it in its own way."""
    if name not in found.columns:
        return pl.Series(name, [None] * len(found), dtype)
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
    _check_single(str(path), table)


def _check_single(where: str, table: pl.DataFrame) -> None:
    key = list(AttemptKey._fields)
    double = table.filter(pl.struct(key).is_duplicated())
    if len(double):
        what = " ".join(f"{name} {double[name][0]}" for name in key)
        raise ResultFileError(f"{where}: several rows for {what}: a run writes one; keep one")
