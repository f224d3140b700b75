"""The columns of a result row, from their one declaration, as a document."""

from collections.abc import Iterator

from llmbench.column_types import Column
from llmbench.records import columns
from llmbench.reports.render import Code, Document, Grid, markdown_table

HEAD = ("column", "type", "unit", "meaning")


def document() -> Document:
    """Return the columns in the order of the file."""
    declared = [{**column._asdict(), "type": column.type.__name__} for column in columns()]
    return Document([_grid()], declared)


def markdown() -> Iterator[str]:
    """Yield the columns as the lines of a Markdown table."""
    return markdown_table(_grid())


def _grid() -> Grid:
    return Grid(HEAD, [_cells(column) for column in columns()], text_columns=len(HEAD))


def _cells(column: Column) -> tuple[str, str, str, str]:
    kind = column.type.__name__ + (", may be null" if column.nullable else "")
    return Code(column.name), kind, column.unit, column.meaning
