"""Output formats: a document as text for a terminal, as JSON, or as Markdown.

A command describes its result once, as a `Document`. A new format is a function and its entry in
`FORMATS`, which is also the list of choices of `--format`.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

# An underscore between letters or digits is no markup.
_MARKUP = re.compile(r"[\\`*\[\]<>|#]|(?<![^\W_])_|_(?![^\W_])")


class Code(str):
    """Text that Markdown sets as code."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence; `style` is its look in a terminal, `strong` makes it bold in Markdown."""

    text: str
    style: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines of text; `bullets` makes them a list in Markdown."""

    lines: Sequence[Line]
    bullets: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table.

    Attributes:
        head: the titles of its columns.
        rows: the cells of its rows.
        text_columns: how many columns, from the left, hold text; the others hold figures, which
            are aligned on the right.
        title: its heading, if it has one.
        styles: the look of each row in a terminal; empty means plain.
        sparkline: a small chart that a terminal shows behind the title.
        droppable: titles of the columns that a narrow terminal does without, the first one first.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int
    title: str = ""
    styles: Sequence[str] = ()
    sparkline: str = ""
    droppable: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A result: `blocks` are for people, `data`, which must be JSON, is for programs."""

    blocks: Sequence[Paragraph | Grid]
    data: object


def render(document: Document, format: str) -> "Iterator[RenderableType]":
    """Yield the parts of a document in one of `FORMATS`, for `Console.print_tables`.

    Tables and sentences of the text are rich's. Other formats are plain strings, which the console
    writes unchanged.
    """
    yield from FORMATS[format](document)


def _text(document: Document) -> "Iterator[RenderableType]":
    # Imported late: the choices of --format must not load rich.
    from rich.text import Text

    from llmbench.reports.fitting import FittingTable

    for block in document.blocks:
        if isinstance(block, Paragraph):
            yield from (Text(line.text, style=line.style) for line in block.lines)
            continue
        title = f"{block.title}  {block.sparkline}" if block.sparkline else block.title
        yield FittingTable(
            block.head,
            block.text_columns,
            list(block.rows),
            title=title,
            styles=block.styles,
            droppable=block.droppable,
        )


def _json(document: Document) -> Iterator[str]:
    yield json.dumps(document.data, ensure_ascii=False, indent=2) + "\n"


def _markdown(document: Document) -> Iterator[str]:
    yield "\n\n".join(_markdown_parts(document.blocks)) + "\n"


def _markdown_parts(blocks: Iterable[Paragraph | Grid]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Paragraph):
            yield "\n".join(_markdown_lines(block))
            continue
        if block.title:
            heading = _escape(block.title)
            yield f"### {heading[:1].upper()}{heading[1:]}"
        yield "\n".join(markdown_table(block))


def _markdown_lines(paragraph: Paragraph) -> Iterator[str]:
    for line in paragraph.lines:
        text = _escape(line.text)
        text = f"**{text}**" if line.strong else text
        yield f"- {text}" if paragraph.bullets else text


def markdown_table(grid: Grid) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield f"| {' | '.join(grid.head)} |"
    yield "|" + "".join("---|" if i < grid.text_columns else "---:|" for i in range(len(grid.head)))
    for cells in grid.rows:
        yield f"| {' | '.join(map(_escape, cells))} |"


def _escape(text: str) -> str:
    """Return text in which nothing is markup."""
    if isinstance(text, Code):
        return f"`{text.replace('`', '')}`"
    return _MARKUP.sub(r"\\\g<0>", text)


FORMATS: "Mapping[str, Callable[[Document], Iterator[RenderableType]]]" = {
    "text": _text,
    "json": _json,
    "markdown": _markdown,
}
"""The formats by name, the default first."""
