"""The HTML page: its template, filled with figures and attempts."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from llmbench.records import Row
from llmbench.reports.columns import REPLAY_NOTICE
from llmbench.reports.html import attempts, cost_charts, heat_maps, run_charts, score_charts
from llmbench.reports.html import repairs as repair_charts
from llmbench.reports.html.board import leaderboard
from llmbench.reports.html.figure import Figure
from llmbench.reports.html.glossary import meanings, terms
from llmbench.reports.sanitize import single_line

ASSETS = "assets"
"""Folder of the template, the style and the scripts."""

SCRIPTS = ("stats.js", "data.js", "plots.js", "board.js", "attempts.js")
_NAMES = ("target", "problem_id", "lang", "tags", "quantization")


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a page.

    Attributes:
        table, rows: the attempts, as a frame and as rows in the same order.
        history: lines of `stats.history`, None unless there are several dates.
        rounds: lines of `stats.repair_rounds`, None unless there are repairs.
        sections: the sections of each attempt, with the index of its row.
        sources: the result files, as the user named them.
    """

    table: pl.DataFrame
    rows: Sequence[Row]
    history: pl.DataFrame | None
    rounds: pl.DataFrame | None
    sections: Iterable[attempts.IndexedSections]
    sources: Sequence[str]


def page(report: Report) -> str:
    """Return the page as one file, which loads nothing and runs only its own scripts."""
    chunks = list(attempts.chunks(report.rows, report.sections))
    table = _escaped(report.table)
    lines = score_charts.ranked(table)
    board = leaderboard(table, lines)
    parts = list(_parts(table, lines, report.history, report.rounds))
    headings = [statistic.title for statistic in board.statistics]
    headings += [name for _, group in parts for figure in group for name in figure.head]
    scripts = [_script(text) for text in _scripts()]
    figures = {figure.id: figure.spec for _, group in parts for figure in group if figure.spec}
    environment = Environment(
        loader=PackageLoader(__package__, ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template("page.html").render(
        notices=_notices(report.rows),
        totals=_totals(table),
        board=board,
        sources=[single_line(source) for source in report.sources],
        parts=parts,
        terms=terms(headings),
        meanings=meanings(),
        figures=figures,
        chunks=chunks,
        attempt_index=attempts.attempt_index(report.rows, chunks),
        style=Markup(_asset("page.css")),  # our own file
        scripts=[Markup(text) for text in scripts],  # our own, and Vega's
        hashes=[_hash(text) for text in scripts],
    )


def _totals(table: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield the figures of the page's head, each with its noun."""
    for column, one in (("target", "target"), ("problem_id", "problem"), ("run", "run")):
        number = table[column].n_unique()
        yield str(number), one if number == 1 else f"{one}s"
    yield str(len(table)), "attempt" if len(table) == 1 else "attempts"
    dates = sorted({date for date in table["date"].to_list() if date})
    if dates:
        yield ", ".join(dates), "date" if len(dates) == 1 else "latest dates"


def _parts(
    table: pl.DataFrame,
    lines: pl.DataFrame,
    history: pl.DataFrame | None,
    rounds: pl.DataFrame | None,
) -> Iterator[tuple[str, list[Figure]]]:
    """Yield the parts of the page in their order, each with its figures.

    `lines` are those of `stats.summarize` by target, the best first.
    """
    targets = lines["target"].to_list()
    yield "Leaderboard", [cost_charts.speed(lines), score_charts.leaderboard(lines)]
    groups = [*heat_maps.tags(table, targets), *score_charts.languages(table, targets)]
    others = [score_charts.outcomes(lines), score_charts.discrimination(table)]
    yield "Problems", [heat_maps.problems(table, targets), *groups, *others]
    yield "Cost and latency", [cost_charts.cost(table, lines), cost_charts.latency(table, lines)]
    speeds = [cost_charts.distribution(table, targets, speed) for speed in cost_charts.SPEEDS]
    yield "Speed", speeds
    yield "Stability", run_charts.figures(table, targets)
    if rounds is not None:
        yield "Repairs", [repair_charts.repairs(_escaped(rounds), targets)]
    if history is not None:
        yield "History", [score_charts.history(_escaped(history), targets)]


def _escaped(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with escaped names, equal to those in the list of attempts."""
    columns = []
    for name in _NAMES:
        if name in table.columns:
            known = table[name].drop_nulls().unique().to_list()
            escaped = [single_line(text) for text in known]
            columns.append(
                table[name].replace_strict(known, escaped, default=None, return_dtype=pl.String)
            )
    return table.with_columns(columns)


def _notices(rows: Sequence[Row]) -> Iterator[str]:
    if any(row.replayed for row in rows):
        yield REPLAY_NOTICE
    unscored = sum(row.score is None for row in rows)
    if unscored:
        yield (
            f"{unscored} of {len(rows)} attempts were not scored: errors of the server or the "
            "sandbox are not the models' failure, and in no rate."
        )


def _breakable(name: str) -> Markup:
    """Return a name that may break after its slashes."""
    return escape(name).replace("/", Markup("/<wbr>"))


def _asset(name: str) -> str:
    loader = PackageLoader(__package__, ASSETS)
    source: str = loader.get_source(Environment(autoescape=True), name)[0]
    return source


def _scripts() -> Iterator[str]:
    version = alt.SCHEMA_VERSION.removeprefix("v").rsplit(".", 1)[0]
    yield vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)
    for name in SCRIPTS:
        yield _asset(name)


def _script(text: str) -> str:
    r"""Return a script that cannot end its element early: `<\/` equals `</` in JavaScript alone."""
    return text.replace("\r\n", "\n").replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _hash(script: str) -> str:
    """Return the hash by which the page's policy allows the script."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
