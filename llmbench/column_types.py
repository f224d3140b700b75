"""The parts of a column's declaration."""

from typing import NamedTuple


class Column(NamedTuple):
    """One column of a result row: name, type, unit and meaning.

    `default` is the value for older files without the column, None if there is none. `formerly` is
    the name of the column in older files, None if it was never renamed.
    """

    name: str
    type: type
    nullable: bool
    unit: str
    meaning: str
    default: int | None = None
    formerly: str | None = None


class ColumnInfo(NamedTuple):
    """The meaning, unit and former name of a column, beside its type in `Row`."""

    meaning: str
    unit: str = ""
    formerly: str | None = None
