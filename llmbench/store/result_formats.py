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
    its last argument and ignores it if the format has none. `metadata` reads it.
    """

    read: Callable[[Path], "pl.DataFrame"]
    write: Callable[["pl.LazyFrame", Path, Mapping[str, str]], None]
    metadata: Callable[[Path], Mapping[str, str]] = lambda path: {}


_FORMULA = "=+\\-@\\t\\r"
"""First characters, as in a pattern, of a text that a spreadsheet runs as a formula."""

_CODES = {"␀": "␀1", "\0": "␀0"}
"""Characters with the code that stands for each in a CSV file, which must hold no NUL."""


def _read_csv(path: Path) -> "pl.DataFrame":
    import polars as pl

    # As text, so that `tables` can name a value that does not fit the schema.
    table = pl.read_csv(path, infer_schema=False, glob=False)
    text = pl.all().str.replace(rf"^'('*[{_FORMULA}])", "$1")
    for character, code in reversed(_CODES.items()):
        text = text.str.replace_all(code, character, literal=True)
    return table.with_columns(text)


def _write_csv(table: "pl.LazyFrame", path: Path, _: Mapping[str, str]) -> None:
    import polars as pl

    text = pl.col(pl.String)
    for character, code in _CODES.items():
        text = text.str.replace_all(character, code, literal=True)
    # An apostrophe before a formula, and before such an apostrophe that the text itself has.
    text = text.str.replace(rf"^('*[{_FORMULA}])", "'$1")
    table.with_columns(text).sink_csv(path)


def _read_parquet(path: Path) -> "pl.DataFrame":
    import polars as pl

    return pl.read_parquet(path, glob=False)


def _parquet_metadata(path: Path) -> Mapping[str, str]:
    import polars as pl

    return pl.read_parquet_metadata(path)


def _write_parquet(table: "pl.LazyFrame", path: Path, metadata: Mapping[str, str]) -> None:
    table.sink_parquet(path, metadata=dict(metadata), row_group_size=ROW_GROUP_ROWS)


FORMATS: Mapping[str, ResultFormat] = {
    ".csv": ResultFormat(_read_csv, _write_csv),
    ".parquet": ResultFormat(_read_parquet, _write_parquet, _parquet_metadata),
}
"""The formats by the suffix of a file's name."""

SUFFIXES = " or ".join(FORMATS)
"""The suffixes of all formats, for messages."""
