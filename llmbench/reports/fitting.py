"""A table that fits the width of its terminal: frame and padding go first, then columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

FRAMED: Mapping[str, Any] = {"box": box.HEAVY_HEAD}
PLAIN: Mapping[str, Any] = {"box": box.SIMPLE_HEAD, "show_edge": False, "padding": (0, 1, 0, 0)}
DENSE: Mapping[str, Any] = {**PLAIN, "padding": 0}
"""The looks of a table, the widest one first."""

_UNBOUNDED = Console(width=100_000, markup=False)


@dataclass
class FittingTable:
    """A table that keeps its figures whole at every width.

    Attributes:
        head: the titles of its columns.
        text_columns: how many columns, from the left, hold text; the others hold figures, which
            are aligned on the right.
        rows: the cells of its rows; a `Text` brings its own look.
        title: its heading, if it has one.
        styles: the look of each row; empty means plain.
        droppable: titles of the columns that go where the table is too wide, the first one first.
            A line below the table names those that went.
        framed: True if the table has a frame where there is room.
    """

    head: Sequence[str]
    text_columns: int = 1
    rows: list[Sequence[str | Text]] = field(default_factory=list)
    title: str = ""
    styles: Sequence[str] = ()
    droppable: Sequence[str] = ()
    framed: bool = True

    @property
    def width(self) -> int:
        """Columns of text that the table fills in full."""
        return _width(self._table(self.head, PLAIN if not self.framed else FRAMED))

    def fits(self, width: int) -> bool:
        """True if the table fits into `width` without its frame and with all its columns."""
        return _width(self._table(self.head, DENSE)) <= width

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table in the fullest form that fits, and the names of the missing columns."""
        yield from self._fitted(options.max_width)

    def _fitted(self, width: int) -> Iterator[Table | Text]:
        dropped: list[str] = []
        candidates = [title for title in self.droppable if title in self.head]
        while True:
            head = [title for title in self.head if title not in dropped]
            for look in (FRAMED, PLAIN, DENSE)[not self.framed :]:
                table = self._table(head, look)
                if _width(table) <= width:
                    yield table
                    if dropped:
                        yield Text(f"not shown at this width: {', '.join(dropped)}", style="dim")
                    return
            if not candidates:
                break
            dropped.append(candidates.pop(0))
        # The texts alone are too wide: they are wrapped, and the figures stay whole.
        yield self._table(head, DENSE)
        if dropped:
            yield Text(f"not shown at this width: {', '.join(dropped)}", style="dim")

    def _table(self, head: Sequence[str], look: Mapping[str, Any]) -> Table:
        table = Table(title=self.title or None, title_justify="left", **look)
        places = [place for place, title in enumerate(self.head) if title in head]
        for place in places:
            figures = place >= self.text_columns
            table.add_column(
                Text(self.head[place]),
                justify="right" if figures else "left",
                no_wrap=figures,
                overflow="fold",
                min_width=self._least(place) if figures else None,
            )
        styles = self.styles or [""] * len(self.rows)
        for cells, style in zip(self.rows, styles, strict=True):
            table.add_row(*(_cell(cells[place]) for place in places), style=style)
        return table

    def _least(self, place: int) -> int:
        texts = (str(row[place]) for row in self.rows)
        return max(map(cell_len, (self.head[place], *texts)))


def _cell(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _width(table: Table) -> int:
    """Return the columns of text that a table fills if no cell is wrapped."""
    return Measurement.get(_UNBOUNDED, _UNBOUNDED.options, table).maximum
