"""The file formats of result tables. A further format is one more entry of `FORMATS`.

polars is slow to import, so each function imports it when it is called.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import polars as pl

ROW_GROUP_ROWS = 10_000
"""Rows of Parquet that are held in memory: about 20 MiB with their logs."""


class ResultFormat(NamedTuple):
    """The functions that read and write one format.

    `read` returns the columns of the file as they are. `write` takes the metadata of the table as
    its last argument and ignores it if the format has none.
    """

    read: Callable[[Path], "pl.DataFrame"]
    write: Callable[["pl.LazyFrame", Path, Mapping[str, str]], None]


def _read_csv(path: Path) -> "pl.DataFrame":
    import polars as pl

    # As text, so that `tables` can name a value that does not fit the schema.
    return pl.read_csv(path, infer_schema=False, glob=False)


def _write_csv(table: "pl.LazyFrame", path: Path, _: Mapping[str, str]) -> None:
    table.sink_csv(path)


def _read_parquet(path: Path) -> "pl.DataFrame":
    import polars as pl

    return pl.read_parquet(path, glob=False)


def _write_parquet(table: "pl.LazyFrame", path: Path, metadata: Mapping[str, str]) -> None:
    table.sink_parquet(path, metadata=dict(metadata), row_group_size=ROW_GROUP_ROWS)


FORMATS: Mapping[str, ResultFormat] = {
    ".csv": ResultFormat(_read_csv, _write_csv),
    ".parquet": ResultFormat(_read_parquet, _write_parquet),
}
"""The formats by the suffix of a file's name."""

SUFFIXES = " or ".join(FORMATS)
"""The suffixes of all formats, for messages."""
