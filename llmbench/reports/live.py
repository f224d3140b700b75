"""The live display of a run in a terminal, of any width from 40 columns."""

import statistics
import textwrap
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from llmbench.events import (
    AttemptFinished,
    BudgetExhausted,
    CompletionReceived,
    Draining,
    Event,
    RequestStarted,
    RetryScheduled,
    TargetStopped,
)
from llmbench.records import AttemptKey
from llmbench.reports.tally import Tally, budget_line, draining_line, stopped_line

REFRESH_PER_SECOND = 4
LEAST_BAR, BAR = 5, 20
LEAST_NAME = 10
SPEEDS = 9
"""Number of the latest answers whose median speed is shown."""

ROWS_BESIDE = 4
"""Rows of the terminal that stay free for other lines."""

GAP = 2
INDENT = "  "


class _TargetLine:
    """The state of one target in the display."""

    def __init__(self, name: str, total: int) -> None:
        self.name = name
        self.tally = Tally(total)
        self.began: float | None = None
        self.streaming: dict[AttemptKey, None] = {}
        self.speeds: deque[float] = deque(maxlen=SPEEDS)

    @property
    def active(self) -> bool:
        return self.began is not None and self.tally.done < self.tally.total

    @property
    def count(self) -> str:
        return f"{self.tally.done}/{self.tally.total}"

    def eta(self) -> str:
        """Return the time that remains at the pace so far."""
        done, total = self.tally.done, self.tally.total
        if self.began is None:
            return "waiting"
        elapsed = time.monotonic() - self.began
        if done >= total:
            return f"took {duration(elapsed)}"
        return f"ETA {duration(elapsed / done * (total - done))}" if done else "ETA -"

    def details(self) -> Iterator[str]:
        """Yield the outcomes so far, then what streams now."""
        if outcomes := self.tally.describe():
            yield outcomes
        if self.streaming:
            key = next(iter(self.streaming))
            more = len(self.streaming) - 1
            text = f"asking {key.problem_id}#{key.run}" + (f" +{more}" if more else "")
            if self.speeds:
                text += f", {statistics.median(self.speeds):.0f} tokens/s"
            yield text


class LiveProgress:
    """Shows a bar per target with its count, ETA and outcomes; a listener of a run's events."""

    def __init__(self, console: Console, totals: Mapping[str, int]) -> None:
        self._lines = {target: _TargetLine(target, total) for target, total in totals.items()}
        self._live = Live(
            console=console,
            refresh_per_second=REFRESH_PER_SECOND,
            transient=True,
            get_renderable=lambda: self,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines for this width and height."""
        room = max(2, console.height - ROWS_BESIDE)
        yield from _display(list(self._lines.values()), options.max_width, room)

    def __call__(self, event: Event) -> None:
        """Update the display for one event."""
        match event:
            case RequestStarted(key):
                line = self._lines[key.target]
                line.began = line.began or time.monotonic()
                line.streaming[key] = None
            case CompletionReceived(key):
                self._lines[key.target].streaming.pop(key, None)
            case AttemptFinished(row):
                line = self._lines[row.target]
                line.began = line.began or time.monotonic()
                line.tally.add(row)
                line.streaming.pop(AttemptKey(row.target, row.problem_id, row.run), None)
                if row.tokens_per_second is not None:
                    line.speeds.append(row.tokens_per_second)
            case TargetStopped():
                self._lines[event.target].streaming.clear()
                self._print(stopped_line(event), "red")
            case RetryScheduled(target):
                if wait := self._lines[target].tally.wait_line(event):
                    self._print(wait, "yellow")
            case BudgetExhausted():
                self._print(budget_line(event), "yellow")
            case Draining(in_flight):
                self._print(draining_line(in_flight), "yellow")

    def _print(self, line: str, style: str) -> None:
        self._live.console.print(line, style=style)


def duration(seconds: float) -> str:
    """Format a duration as people read it: 0:42, 12:05, 3:04:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _display(lines: list[_TargetLine], width: int, room: int) -> Iterator[Table | Text]:
    """Yield the targets that fit into `room` rows, the active ones first, and the others' number.

    Each has its bar and, where all of that fits, the lines of its details.
    """
    ordered = sorted(lines, key=lambda line: (not line.active, line.began is None))
    counts = max(cell_len(line.count) for line in lines)
    times = max(cell_len(line.eta()) for line in lines)
    name = max(cell_len(line.name) for line in lines)
    name = max(min(name, width - counts - times - LEAST_BAR - 3 * GAP), LEAST_NAME)
    blocks = [_block(line, (name, counts, times), width) for line in ordered]
    spare = room - len(blocks)
    for i, block in enumerate(blocks):
        spare -= len(block) - 1
        if spare < 0:
            blocks[i:] = [rest[:1] for rest in blocks[i:]]
            break
    hidden = max(0, len(blocks) - room)
    if hidden:
        hidden += 1
        blocks = blocks[: len(blocks) - hidden]
    for block in blocks:
        yield from block
    if hidden:
        done = sum(line.tally.done >= line.tally.total for line in ordered[-hidden:])
        yield Text(f"and {hidden} more targets, {done} of them done", style="dim")


def _block(line: _TargetLine, sizes: tuple[int, int, int], width: int) -> list[Table | Text]:
    """Return the bar of a target, and its details on the same line or on lines of their own."""
    name, counts, times = sizes
    details = list(line.details())
    beside = GAP * 4 + sum(map(cell_len, details)) + len(INDENT)
    fixed = name + counts + times + 3 * GAP
    bar = max(LEAST_BAR, min(BAR, width - fixed))
    one_line = not details or fixed + bar + beside <= width
    grid = Table.grid()
    grid.add_column(width=name + GAP, no_wrap=True)
    grid.add_column(width=bar + GAP)
    grid.add_column(width=counts, justify="right", no_wrap=True)
    grid.add_column(width=GAP)
    grid.add_column(width=times, no_wrap=True)
    cells: list[Text | ProgressBar] = [
        Text(shortened(line.name, name)),
        ProgressBar(total=line.tally.total, completed=line.tally.done, width=bar),
        Text(line.count),
        Text(),
        Text(line.eta()),
    ]
    if one_line and details:
        grid.add_column(no_wrap=True)
        cells.append(Text(INDENT + INDENT.join(details), style="dim"))
    grid.add_row(*cells)
    if one_line:
        return [grid]
    room = width - len(INDENT)
    outcomes, *streams = details
    texts = [*textwrap.wrap(outcomes, room), *(shortened(text, room) for text in streams)]
    return [grid, *(Text(INDENT + text, style="dim") for text in texts)]


def shortened(text: str, width: int) -> str:
    """Return a text cut to a width in columns; the end of a name tells more than its middle."""
    if cell_len(text) <= width:
        return text
    tail = ""
    for character in reversed(text):
        if cell_len(character + tail) > (width - 1) // 2:
            break
        tail = character + tail
    return set_cell_size(text, width - 1 - cell_len(tail)) + "…" + tail
