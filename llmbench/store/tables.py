"""Rows to polars frames to files, from the one schema."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path

import polars as pl

from llmbench.errors import OutputError
from llmbench.records import Row, columns

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
BATCH_ROWS = 5000


def frame(rows: Iterable[Row]) -> pl.DataFrame:
    """Rows as a frame with the declared columns, in order of target, problem and run."""
    batches: list[pl.DataFrame] = [pl.DataFrame(schema=SCHEMA)]
    batch: list[tuple[object, ...]] = []
    for row in rows:
        batch.append(astuple(row))
        if len(batch) == BATCH_ROWS:
            batches.append(pl.DataFrame(batch, schema=SCHEMA, orient="row"))
            batch = []
    if batch:
        batches.append(pl.DataFrame(batch, schema=SCHEMA, orient="row"))
    return pl.concat(batches).sort("target", "lang", "problem_id", "run", maintain_order=True)


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
