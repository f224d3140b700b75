"""Rows to polars frames to files, from the one schema."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import astuple
from itertools import islice
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from llmbench.errors import OutputError
from llmbench.records import Row, columns
from llmbench.store import files

_DTYPES: Mapping[type, type[pl.DataType]] = {
    str: pl.String,
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
}
SCHEMA = pl.Schema({column.name: _DTYPES[column.type] for column in columns()})

WRITERS: Mapping[str, Callable[[pl.LazyFrame, Path, dict[str, str]], None]] = {
    ".csv": lambda table, path, _: table.sink_csv(path),
    ".parquet": lambda table, path, about: table.sink_parquet(path, metadata=about),
}
BATCH_ROWS = 2000


def stream(rows: Callable[[], Iterable[Row]]) -> pl.LazyFrame:
    """Rows, in their order, as a table that is read in batches each time it is used."""

    def batches(
        wanted: list[str] | None, where: pl.Expr | None, most: int | None, _size: int | None
    ) -> Iterator[pl.DataFrame]:
        left = iter(rows() if most is None else islice(rows(), most))
        while batch := list(islice(left, BATCH_ROWS)):
            frame = pl.DataFrame(list(map(astuple, batch)), schema=SCHEMA, orient="row")
            frame = frame if wanted is None else frame.select(wanted)
            yield frame if where is None else frame.filter(where)

    return register_io_source(batches, schema=SCHEMA)


def frame(rows: Iterable[Row]) -> pl.DataFrame:
    """Rows as a table in memory, in order of target, language, problem and run."""
    table = stream(lambda: rows).collect()
    return table.sort("target", "lang", "problem_id", "run", maintain_order=True)


def figures(table: pl.LazyFrame) -> pl.DataFrame:
    """The table in memory, with the logs of infrastructure errors alone: logs are the bulk."""
    log = pl.when(pl.col("score").is_null()).then("log_head").otherwise(pl.lit(""))
    return table.with_columns(log_head=log).collect(engine="streaming")


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
        files.settle(fresh, path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise OutputError(
            f"{path}: cannot be written: {reason}; the journal has all rows"
        ) from None
    finally:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
