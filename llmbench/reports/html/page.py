"""The HTML page: its template, filled with figures and attempts."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from llmbench.records import Row
from llmbench.reports.columns import REPLAY_NOTICE
from llmbench.reports.html import attempts, cost_charts, score_charts
from llmbench.reports.html import repairs as repair_charts
from llmbench.reports.html.figure import Figure
from llmbench.reports.sanitize import single_line

ASSETS = "assets"
"""Folder of the template, the style and the scripts."""

SCRIPTS = ("plots.js", "attempts.js")
_NAMES = ("target", "problem_id", "lang", "tags")


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
    parts = list(_parts(_escaped(report.table), report.history, report.rounds))
    scripts = [_script(text) for text in _scripts()]
    figures = {figure.id: figure.spec for _, group in parts for figure in group if figure.spec}
    environment = Environment(
        loader=PackageLoader(__package__, ASSETS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        notices=_notices(report.rows),
        rows=report.rows,
        sources=[single_line(source) for source in report.sources],
        dates=sorted({date for date in report.table["date"].to_list() if date}),
        parts=parts,
        figures=figures,
        chunks=chunks,
        attempt_index=attempts.attempt_index(report.rows, chunks),
        style=Markup(_asset("page.css")),  # our own file
        scripts=[Markup(text) for text in scripts],  # our own, and Vega's
        hashes=[_hash(text) for text in scripts],
    )


def _parts(
    table: pl.DataFrame, history: pl.DataFrame | None, rounds: pl.DataFrame | None
) -> Iterator[tuple[str, list[Figure]]]:
    """Yield the parts of the page in their order, each with its figures."""
    lines = score_charts.ranked(table)
    targets = lines["target"].to_list()
    yield "Leaderboard", [score_charts.leaderboard(lines), score_charts.outcomes(lines)]
    of_problems = [score_charts.problems(table, targets), score_charts.discrimination(table)]
    yield "Problems", [*of_problems, *score_charts.groups(table, targets)]
    yield "Cost and latency", [cost_charts.cost(table, lines), cost_charts.latency(table, lines)]
    speeds = [cost_charts.distribution(table, targets, speed) for speed in cost_charts.SPEEDS]
    yield "Speed", speeds
    repeated = score_charts.agreement(table, targets)
    stability = [
        *repeated,
        cost_charts.per_run(table, targets),
        cost_charts.pass_at_k(table, targets),
    ]
    yield "Stability", stability
    if rounds is not None:
        yield "Repairs", [repair_charts.repairs(_escaped(rounds), targets)]
    if history is not None:
        yield "History", [score_charts.history(_escaped(history), targets)]


def _escaped(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with escaped names, equal to those in the list of attempts."""
    columns = []
    for name in _NAMES:
        if name in table.columns:
            known = table[name].unique().to_list()
            columns.append(table[name].replace_strict(known, [single_line(text) for text in known]))
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
