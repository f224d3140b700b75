"""A comparison of results, as a document."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llmbench import stats
from llmbench.reports import format as fmt
from llmbench.reports.columns import INTERVAL_TITLE, REPLAY_NOTICE
from llmbench.reports.render import Document, Grid, Line, Paragraph
from llmbench.reports.sanitize import single_line
from llmbench.stats import Comparison
from llmbench.texts import counted

STYLES = {"broken": "red", "worse": "red", "newly flaky": "yellow"}
"""Styles of changes; the others are improvements."""

DROPPED_FIRST = ("detects", "p (McNemar)", "attempts", "problems", "p")
"""The columns that a narrow terminal does without, the first one first."""

FRAMES = ("differences", "flips", "metrics", "excluded")


def document(comparison: Comparison, *, verdicts: bool = True) -> Document:
    """Return a comparison as verdicts, tables and notes; for programs, its frames as lists.

    Without `verdicts`, their sentences are left out: another rule has decided.
    """
    data = {name: getattr(comparison, name).to_dicts() for name in FRAMES}
    data |= {
        "unpaired": list(comparison.unpaired),
        "incomparable": list(comparison.incomparable),
        "replayed": comparison.replayed,
    }
    return Document([*_blocks(comparison, verdicts=verdicts)], data)


def _blocks(comparison: Comparison, *, verdicts: bool) -> Iterator[Paragraph | Grid]:
    if comparison.replayed:
        yield Paragraph([Line(REPLAY_NOTICE, "bold yellow", strong=True)])
    if verdicts:
        yield Paragraph(
            [
                Line(f"{number} {verdict(line)}".strip(), _style(line))
                for number, line in _numbered(comparison)
            ]
        )
    grids = [_differences(comparison)]
    grids += [_flips(comparison)] if comparison.flips["finding"].any() else []
    grids += [_metrics(comparison)] if len(comparison.metrics) else []
    single = len(comparison.differences) == 1
    yield from (_without_numbers(grid) if single else grid for grid in grids)
    yield Paragraph([Line(note) for note in _notes(comparison)], bullets=True)


def verdict(line: Mapping[str, Any]) -> str:
    """Return one line of `differences` as a sentence."""
    points = 100 * line["difference"]
    names = f"{single_line(line['candidate'])} against {single_line(line['baseline'])}"
    figures = f"{INTERVAL_TITLE} {_interval(line)}, p {_equals(line['p_adjusted'])}"
    if points == 0:
        return f"{names}: the same pass rate, {line['pass_rate_baseline']:.1%} ({figures})"
    direction = "better" if points > 0 else "worse"
    sentence = f"{names}: {abs(points):.1f} points {direction} ({figures})"
    if line["p_adjusted"] <= stats.ALPHA:
        return sentence
    if _is_regression(line):
        p = _equals(line["p_regression_adjusted"])
        return (
            f"{sentence}: these same problems pass less often than before (p {p}), which says "
            "little of other problems like these"
        )
    return f"{sentence}: chance alone may explain it"


def regression(line: Mapping[str, Any]) -> str:
    """Return one line of `differences` as the message of a regression."""
    names = f"{single_line(line['candidate'])} against {single_line(line['baseline'])}"
    rates = f"{line['pass_rate_baseline']:.1%} → {line['pass_rate_candidate']:.1%}"
    return (
        f"{names}: {abs(100 * line['difference']):.1f} points worse on the same "
        f"{line['problems']} problems ({rates}, p {_equals(line['p_regression_adjusted'])})"
    )


def _is_regression(line: Mapping[str, Any]) -> bool:
    return bool(line["difference"] < 0 and line["p_regression_adjusted"] <= stats.ALPHA)


def _equals(p: float) -> str:
    text = fmt.p_value(p)
    return text if text.startswith("<") else f"= {text}"


def _numbered(comparison: Comparison) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the lines of `differences`, with numbers if there are several."""
    lines = comparison.differences.to_dicts()
    for i, line in enumerate(lines, 1):
        yield (f"{i}." if len(lines) > 1 else ""), line


def _numbers(comparison: Comparison) -> dict[tuple[str, str], str]:
    return {(line["baseline"], line["candidate"]): n for n, line in _numbered(comparison)}


def _without_numbers(grid: Grid) -> Grid:
    rows = [row[1:] for row in grid.rows]
    return replace(grid, head=grid.head[1:], rows=rows, text_columns=grid.text_columns - 1)


def _style(line: Mapping[str, Any]) -> str:
    if line["p_adjusted"] > stats.ALPHA and not _is_regression(line):
        return "bold"
    return "bold green" if line["difference"] > 0 else "bold red"


def _differences(comparison: Comparison) -> Grid:
    lines = comparison.differences.to_dicts()
    corrected = len(lines) > 1
    single = any(line["mcnemar_p"] is not None for line in lines)
    head = ["", "problems", "attempts", "pass_rate", "points", INTERVAL_TITLE, "p"]
    head += ["p (Holm)"] * corrected + ["p (McNemar)"] * single + ["detects"]
    rows = [
        [
            number,
            str(line["problems"]),
            f"{line['attempts_baseline']}, {line['attempts_candidate']}",
            f"{line['pass_rate_baseline']:.1%} → {line['pass_rate_candidate']:.1%}",
            fmt.points(line["difference"]),
            _interval(line),
            fmt.p_value(line["p_value"]) + ("" if line["p_value_exact"] else "*"),
            *([fmt.p_value(line["p_adjusted"])] * corrected),
            *([fmt.p_value(line["mcnemar_p"])] * single),
            _detects(line["min_detectable_difference"]),
        ]
        for number, line in _numbered(comparison)
    ]
    return Grid(head, rows, text_columns=1, title="pass rates", droppable=DROPPED_FIRST)


def _flips(comparison: Comparison) -> Grid:
    numbers = _numbers(comparison)
    flips = comparison.flips.filter("finding").to_dicts()
    rows = [
        [
            numbers[flip["baseline"], flip["candidate"]],
            flip["change"],
            single_line(flip["problem_id"]),
            f"{flip['pass_rate_baseline']:.0%} → {flip['pass_rate_candidate']:.0%}",
            fmt.p_value(flip["p_value"]),
        ]
        for flip in flips
    ]
    styles = [STYLES.get(flip["change"], "green") for flip in flips]
    head = ["", "change", "problem_id", "pass_rate", "p"]
    title = "problems that changed by more than chance explains"
    return Grid(head, rows, text_columns=3, title=title, styles=styles)


def _metrics(comparison: Comparison) -> Grid:
    numbers = _numbers(comparison)
    rows = [
        [
            numbers[line["baseline"], line["candidate"]],
            f"{line['metric']} ({line['unit']})",
            f"{fmt.three_digits(line['value_baseline'])} → "
            f"{fmt.three_digits(line['value_candidate'])}",
            line["ratio_of"],
            "-" if line["ratio"] is None else f"×{fmt.three_digits(line['ratio'])}",
            "-"
            if line["ratio_ci_low"] is None
            else f"×{fmt.three_digits(line['ratio_ci_low'])} to "
            f"×{fmt.three_digits(line['ratio_ci_high'])}",
        ]
        for line in comparison.metrics.iter_rows(named=True)
    ]
    head = ["", "metric", "from → to", "ratio of", "ratio", INTERVAL_TITLE]
    return Grid(head, rows, text_columns=2, title="time, tokens, cost of an answer")


def _notes(comparison: Comparison) -> Iterator[str]:
    """Yield the limits of the figures, and all that is not in them."""
    lines = comparison.differences.to_dicts()
    yield (
        "detects: the smallest difference in points that this many problems and runs detect in "
        f"{stats.POWER:.0%} of all cases; a smaller one may go undetected"
    )
    fewest = min(line["problems"] for line in lines)
    lowest = stats.min_p_value(fewest)
    if lowest > stats.ALPHA:
        yield (
            f"{fewest} problems can show no difference on problems like these: p is at least "
            f"{lowest:.3g}"
        )
    yield (
        "p: is the candidate better or worse on problems like these? --fail-on-regression asks "
        "instead: do these same problems pass less often than before?"
    )
    if not all(line["p_value_exact"] for line in lines):
        yield "*: there are too many sign patterns to count, so some were drawn (with a fixed seed)"
    yield from _flips_by_chance(comparison)
    yield from _unscored(lines)
    yield from _exclusions(comparison)


def _flips_by_chance(comparison: Comparison) -> Iterator[str]:
    """Yield for each pair the number of flips that are no findings, and that of chance alone."""
    for number, line in _numbered(comparison):
        pair = {"baseline": line["baseline"], "candidate": line["candidate"]}
        flips = comparison.flips.filter(finding=False, **pair)["change"].to_list()
        if flips:
            counts = (f"{flips.count(kind)} {kind}" for kind in stats.CHANGES if kind in flips)
            yield (
                f"{number} {len(flips)} problems moved between never, sometimes and always passing "
                f"({', '.join(counts)}), none of which stands out by itself: chance alone moves "
                f"about {line['flips_by_chance']:.1f}, in either direction"
            ).strip()


def _unscored(lines: list[dict[str, Any]]) -> Iterator[str]:
    counts = {
        line[side]: line[f"unscored_{side}"] for line in lines for side in ("baseline", "candidate")
    }
    for name, count in counts.items():
        if count:
            attempts = counted(count, "attempt", "attempts")
            verb = "was" if count == 1 else "were"
            yield f"{attempts} of {single_line(name)} {verb} not scored: in no rate"


def _exclusions(comparison: Comparison) -> Iterator[str]:
    pairs = comparison.excluded.group_by(["baseline", "candidate"], maintain_order=True)
    for (baseline, candidate), group in pairs:
        yield f"left out of {single_line(str(candidate))} against {single_line(str(baseline))}:"
        for line in group.iter_rows(named=True):
            yield f"  {single_line(line['problem_id'])} {single_line(line['reason'])}"
    for sentence in comparison.incomparable:
        yield f"left out: {single_line(sentence)}"
    for name in comparison.unpaired:
        yield (
            f"left out: {single_line(name)} has nothing to be compared with; "
            "name a target for it with --baseline"
        )


def _interval(line: Mapping[str, Any]) -> str:
    return fmt.point_interval(line["ci_low"], line["ci_high"])


def _detects(difference: float) -> str:
    return f"{100 * difference:.1f}" if difference <= 1 else "none"
