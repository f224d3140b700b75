"""A comparison as tables for the terminal, as Markdown, and as JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from llmbench import stats
from llmbench.reports.sanitize import single_line
from llmbench.reports.summary import INTERVAL, NOT_MODEL
from llmbench.stats import Comparison

STYLES = {"broken": "red", "newly flaky": "yellow", "fixed": "green"}


class _View(NamedTuple):
    """A table to be shown: texts, the same for every format; from `right` on, numbers."""

    title: str
    head: Sequence[str]
    lines: Sequence[Sequence[str]]
    right: int


def text(compared: Comparison) -> Iterator[RenderableType]:
    """What differs, for a terminal."""
    if compared.replayed:
        yield Text(NOT_MODEL, style="bold yellow")
    for number, line in _numbered(compared):
        yield Text(f"{number} {verdict(line)}".strip(), style=_style(line))
    for view in _views(compared):
        table = Table(title=view.title, title_justify="left")
        for i, name in enumerate(view.head):
            right = i >= view.right
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for cells in view.lines:
            style = next((STYLES[cell] for cell in cells if cell in STYLES), "")
            table.add_row(*map(Text, cells), style=style)
        yield table
    yield Text("\n".join(_notes(compared)))


def markdown(compared: Comparison) -> str:
    """What differs, for a page or a pull request."""
    parts = [f"**{NOT_MODEL}**"] if compared.replayed else []
    verdicts = [f"{number} {_escaped(verdict(line))}" for number, line in _numbered(compared)]
    parts.append("\n".join(verdicts).strip())
    for view in _views(compared):
        rule = ["---:" if i >= view.right else "---" for i in range(len(view.head))]
        rows = [view.head, rule, *([_escaped(cell) for cell in cells] for cells in view.lines)]
        parts.append(f"### {view.title.capitalize()}")
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    parts.append("\n".join(f"- {_escaped(note)}" for note in _notes(compared)))
    return "\n\n".join(parts) + "\n"


def as_json(compared: Comparison) -> str:
    """The frames of a comparison as one JSON object, each a list of lines."""
    frames = {
        name: getattr(compared, name).to_dicts()
        for name in ("differences", "flips", "measures", "left_out")
    }
    rest = {
        "unpaired": list(compared.unpaired),
        "incomparable": list(compared.incomparable),
        "replayed": compared.replayed,
    }
    return json.dumps(frames | rest, indent=2) + "\n"


def verdict(line: dict[str, Any]) -> str:
    """One line of `differences` as a sentence."""
    points = 100 * line["difference"]
    names = f"{single_line(line['b'])} against {single_line(line['a'])}"
    p = _p(line["p_adjusted"])
    figures = f"{INTERVAL} {_range(line)}, p {p if p.startswith('<') else f'= {p}'}"
    if points == 0:
        return f"{names}: the same pass rate, {line['pass_rate_a']:.1%} ({figures})"
    which = "better" if points > 0 else "worse"
    said = f"{names}: {abs(points):.1f} points {which} ({figures})"
    return said if line["p_adjusted"] <= stats.ALPHA else f"{said}: chance alone may explain it"


def _lines(compared: Comparison) -> list[dict[str, Any]]:
    return compared.differences.to_dicts()


def _numbered(compared: Comparison) -> Iterator[tuple[str, dict[str, Any]]]:
    """The lines of `differences`, with a number where there are several to be told apart."""
    lines = _lines(compared)
    for i, line in enumerate(lines, 1):
        yield (f"{i}." if len(lines) > 1 else ""), line


def _numbers(compared: Comparison) -> dict[tuple[str, str], str]:
    return {(line["a"], line["b"]): number for number, line in _numbered(compared)}


def _style(line: dict[str, Any]) -> str:
    if line["p_adjusted"] > stats.ALPHA:
        return "bold"
    return "bold green" if line["difference"] > 0 else "bold red"


def _views(compared: Comparison) -> Iterator[_View]:
    views = [_differences(compared)]
    views += [_flips(compared)] if len(compared.flips) else []
    views += [_measures(compared)] if len(compared.measures) else []
    several = len(compared.differences) > 1
    for view in views:  # one pair alone needs no number
        lines = [line if several else line[1:] for line in view.lines]
        head = ["", *view.head] if several else view.head
        yield _View(view.title, head, lines, view.right + several)


def _differences(compared: Comparison) -> _View:
    lines = _lines(compared)
    corrected = len(lines) > 1
    single = any(line["mcnemar_p"] is not None for line in lines)
    head = ["problems", "attempts", "pass_rate", "points", INTERVAL, "p"]
    head += ["p (Holm)"] * corrected + ["p (McNemar)"] * single + ["detects"]
    cells = [
        [
            number,
            str(line["problems"]),
            f"{line['attempts_a']}, {line['attempts_b']}",
            f"{line['pass_rate_a']:.1%} → {line['pass_rate_b']:.1%}",
            f"{100 * line['difference']:+.1f}",
            _range(line),
            _p(line["p_value"]) + ("" if line["exact"] else "*"),
            *([_p(line["p_adjusted"])] * corrected),
            *([_p(line["mcnemar_p"])] * single),
            _detects(line),
        ]
        for number, line in _numbered(compared)
    ]
    return _View("pass rates", head, cells, 0)


def _flips(compared: Comparison) -> _View:
    numbers = _numbers(compared)
    cells = [
        [
            numbers[flip["a"], flip["b"]],
            flip["change"],
            single_line(flip["problem_id"]),
            f"{flip['pass_rate_a']:.0%} → {flip['pass_rate_b']:.0%}",
        ]
        for flip in compared.flips.iter_rows(named=True)
    ]
    return _View("flips", ["change", "problem_id", "pass_rate"], cells, 2)


def _measures(compared: Comparison) -> _View:
    numbers = _numbers(compared)
    cells = [
        [
            numbers[line["a"], line["b"]],
            f"{line['measure']} ({line['unit']})",
            f"{_short(line['value_a'])} → {_short(line['value_b'])}",
            f"{line['difference'] / line['value_a']:+.0%}" if line["value_a"] else "-",
            f"{_short(line['difference'])}",
            "-" if line["low"] is None else f"{_short(line['low'])} to {_short(line['high'])}",
        ]
        for line in compared.measures.iter_rows(named=True)
    ]
    head = ["mean over problems", "from → to", "change", "difference", INTERVAL]
    return _View("time, tokens, cost of an answer", head, cells, 1)


def _notes(compared: Comparison) -> Iterator[str]:
    """What the figures cannot say, and what they leave out."""
    lines = _lines(compared)
    yield (
        "detects: the difference in points that this many problems and runs find in "
        f"{stats.POWER:.0%} of all cases; a smaller one may be there unseen"
    )
    fewest = min(line["problems"] for line in lines)
    if stats.min_p_value(fewest) > stats.ALPHA:
        yield f"{fewest} problems can show no difference: p is at least {stats.min_p_value(fewest):.3g}"
    if not all(line["exact"] for line in lines):
        yield "*: sign patterns were drawn (with a fixed seed), since all are too many to count"
    unscored = {line[side]: line[f"unscored_{side}"] for line in lines for side in ("a", "b")}
    for name, count in unscored.items():
        if count:
            yield f"{count} attempts of {single_line(name)} were not scored, and are in no rate"
    for (a, b), group in compared.left_out.group_by(["a", "b"], maintain_order=True):
        yield f"left out of {single_line(str(b))} against {single_line(str(a))}:"
        for line in group.iter_rows(named=True):
            yield f"  {single_line(line['problem_id'])} {single_line(line['reason'])}"
    for sentence in compared.incomparable:
        yield f"left out: {single_line(sentence)}"
    for name in compared.unpaired:
        yield f"left out: {single_line(name)} has nothing to be compared with; name it with --base"


def _range(line: dict[str, Any]) -> str:
    return f"{100 * line['low']:+.1f} to {100 * line['high']:+.1f}"


def _detects(line: dict[str, Any]) -> str:
    return f"{100 * line['detectable']:.1f}" if line["detectable"] <= 1 else "none"


def _p(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2g}" if value >= 0.001 else "<0.001"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _escaped(cell: str) -> str:
    """A cell that is no markup of Markdown."""
    for character in "\\`*_[]<>|#":
        cell = cell.replace(character, f"\\{character}")
    return cell
