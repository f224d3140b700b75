"""Tables that fit into a terminal's width."""

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_CONSOLE = Console(width=100_000)


def fit(view: Table, width: int) -> bool:
    """Take frame and space from a table that is too wide; True if it then fits into `width`.

    One that is too wide all the same, as its texts are long, is left as it was.
    """
    as_it_was = view.box, view.show_edge, view.padding
    for space in (1, 0):
        if _needed(view) > width:
            view.box, view.show_edge, view.padding = box.SIMPLE_HEAD, False, (0, space, 0, 0)
    if _needed(view) <= width:
        return True
    view.box, view.show_edge, view.padding = as_it_was
    return False


def _needed(view: Table) -> int:
    """Columns of text that a table takes where nothing in it is broken."""
    return Measurement.get(_CONSOLE, _CONSOLE.options, view).maximum
