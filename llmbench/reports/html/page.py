"""The page: figures and attempts put into its template."""

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
from llmbench.reports.html import attempts, cost_charts, score_charts
from llmbench.reports.html import repairs as rounds
from llmbench.reports.html.figure import Figure
from llmbench.reports.sanitize import single_line
from llmbench.reports.summary import NOT_MODEL

ASSETS = "assets"
"""Folder of the template, the style and the scripts."""

SCRIPTS = ("plots.js", "attempts.js")
_NAMES = ("target", "problem_id", "lang", "tags")


@dataclass(frozen=True, slots=True)
class Report:
    """What a page is about.

    `table` and `rows` are the same attempts in the same order; `trend` comes from `stats.history`
    where there are several nights, `rounds` from `stats.by_round` where there are repairs; `texts`
    has the sections of each attempt, by its place in `rows`; `sources` are the files, as they were
    named.
    """

    table: pl.DataFrame
    rows: Sequence[Row]
    trend: pl.DataFrame | None
    rounds: pl.DataFrame | None
    texts: Iterable[attempts.Given]
    sources: Sequence[str]


def page(report: Report) -> str:
    """The page, complete in itself: what is in it may run and be shown, and nothing be loaded."""
    packs = list(attempts.chunks(report.rows, report.texts))
    parts = list(_parts(_plain(report.table), report.trend, report.rounds))
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
        nights=sorted({night for night in report.table["night"].to_list() if night}),
        parts=parts,
        figures=figures,
        packs=packs,
        listed=attempts.attempt_index(report.rows, packs),
        style=Markup(_part("page.css")),  # our own file
        scripts=[Markup(text) for text in scripts],  # our own, and Vega's
        hashes=[_hash(text) for text in scripts],
    )


def _parts(
    table: pl.DataFrame, trend: pl.DataFrame | None, repaired: pl.DataFrame | None
) -> Iterator[tuple[str, list[Figure]]]:
    """The parts of the page in their order, each with its figures."""
    lines = score_charts.ranked(table)
    targets = lines["target"].to_list()
    yield "Leaderboard", [score_charts.leaderboard(lines), score_charts.outcomes(lines)]
    yield "Problems", [score_charts.problems(table, targets), *score_charts.groups(table, targets)]
    yield "Cost and latency", [cost_charts.cost(table, lines), cost_charts.latency(table, lines)]
    yield (
        "Speed",
        [
            cost_charts.speed(table, targets, "ttft_seconds", "Time to first token"),
            cost_charts.speed(table, targets, "tokens_per_second", "Tokens per second"),
        ],
    )
    yield "Stability", [cost_charts.runs(table, targets), cost_charts.several(table, targets)]
    if repaired is not None:
        yield "Repairs", [rounds.repairs(_plain(repaired), targets)]
    if trend is not None:
        yield "History", [score_charts.nights(_plain(trend), targets)]


def _plain(table: pl.DataFrame) -> pl.DataFrame:
    """The table with names that steer nothing, as the list of attempts has them."""
    plain = []
    for name in _NAMES:
        if name in table.columns:
            known = table[name].unique().to_list()
            plain.append(table[name].replace_strict(known, [single_line(text) for text in known]))
    return table.with_columns(plain)


def _notices(rows: Sequence[Row]) -> Iterator[str]:
    if any(row.replayed for row in rows):
        yield NOT_MODEL
    lost = sum(row.score is None for row in rows)
    if lost:
        yield (
            f"{lost} of {len(rows)} attempts were not scored: errors of the server or the sandbox "
            "are not the models' failure, and in no rate."
        )


def _part(name: str) -> str:
    loader = PackageLoader(__package__, ASSETS)
    source: str = loader.get_source(Environment(autoescape=True), name)[0]
    return source


def _scripts() -> Iterator[str]:
    version = alt.SCHEMA_VERSION.removeprefix("v").rsplit(".", 1)[0]
    yield vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", version)
    for name in SCRIPTS:
        yield _part(name)


def _script(text: str) -> str:
    r"""A script that ends where it ends: `<\/` is the same in JavaScript as `</`, not in HTML."""
    return text.replace("\r\n", "\n").replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _hash(script: str) -> str:
    """What tells a browser that this very script may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
