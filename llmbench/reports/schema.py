"""The columns of a result row, from their one declaration."""

import json
from collections.abc import Iterator

from rich.table import Table

from llmbench.records import Column, columns

HEAD = ("column", "type", "unit", "meaning")


def text() -> Table:
    """The columns as a table for the terminal."""
    table = Table(title="columns of a result row", title_justify="left")
    for name in HEAD:
        table.add_column(name, overflow="fold")
    for cells in map(_cells, columns()):
        table.add_row(*cells)
    return table


def markdown() -> Iterator[str]:
    """The columns as the lines of a Markdown table."""
    yield f"| {' | '.join(HEAD)} |"
    yield "|---" * len(HEAD) + "|"
    for name, *rest in map(_cells, columns()):
        yield f"| `{name}` | {' | '.join(rest)} |"


def as_json() -> str:
    """The columns as a JSON list of objects in the order of the file."""
    declared = [{**column._asdict(), "type": column.type.__name__} for column in columns()]
    return json.dumps(declared, indent=2) + "\n"


def _cells(column: Column) -> tuple[str, str, str, str]:
    kind = column.type.__name__ + (", may be null" if column.nullable else "")
    return column.name, kind, column.unit, column.meaning
