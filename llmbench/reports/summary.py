"""The tables that end a run in the terminal."""

from collections.abc import Iterator

import polars as pl
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from llmbench import stats
from llmbench.records import Outcome
from llmbench.reports.numbers import interval, number, percent

NOT_MODEL = "Recorded answers were replayed: no model was asked, and these figures rank nothing."
INTERVAL = f"{stats.LEVEL:.0%} interval"


def summary(table: pl.DataFrame, later: pl.DataFrame | None = None) -> Iterator[RenderableType]:
    """Targets, languages, problems, rounds, and what could not be scored.

    `table` holds result rows, `later` those of later rounds, which only the table of rounds counts.
    """
    if table["recorded"].any():
        yield Text(NOT_MODEL, style="bold yellow")
    if table.is_empty():
        yield Text("No attempt has ended.", style="bold red")
        return
    yield _targets(table)
    yield _outcomes(table)
    yield _matrix(table, "lang", "by language")
    yield _matrix(table, "problem_id", "by problem")
    yield from _infrastructure(table, "attempts were not scored: not the models' failure, and in "
                               "no rate above.")  # fmt: skip
    if later is not None:
        yield from _rounds(table, later)
        yield from _infrastructure(later, "repairs were not scored: not the models' failure, but "
                                   "counted above as not passed.")  # fmt: skip
    yield from _advice(table)


def _targets(table: pl.DataFrame) -> Table:
    view = Table(title="by target", title_justify="left")
    view.add_column("target", overflow="fold")
    has_cost = table["cost_usd"].is_not_null().any()
    titles = ["pass_rate", INTERVAL, "std_score", "flaky", "scored", "TTFT", "tokens/s"]
    for title in [*titles, "cost"] if has_cost else titles:
        view.add_column(title, justify="right", no_wrap=True)
    lines = stats.rates(table, ["target"]).sort("pass_rate", descending=True, nulls_last=True)
    for line in lines.iter_rows(named=True):
        cells = [
            line["target"],
            percent(line["pass_rate"]),
            interval(line["low"], line["high"]),
            number(line["std_score"], 1),
            percent(line["flaky"], 0),
            f"{line['scored']}/{line['attempts']}",
            number(line["ttft_seconds"], 2, " s"),
            number(line["tokens_per_second"], 0),
        ]
        view.add_row(*cells, *([number(line["cost_usd"], 4, " $")] if has_cost else []))
    return view


def _outcomes(table: pl.DataFrame) -> Table:
    """How many attempts ended in each outcome (down) for each target (across)."""
    lines = {line["target"]: line for line in stats.rates(table, ["target"]).to_dicts()}
    view = Table(title="outcomes", title_justify="left")
    view.add_column("outcome", no_wrap=True)
    for target in sorted(lines):
        view.add_column(target, justify="right", overflow="fold")
    for outcome in Outcome:
        counts = [lines[target][outcome.value] for target in sorted(lines)]
        if any(counts):
            style = "red" if outcome.is_infrastructure else ""
            view.add_row(outcome.value, *(str(count or "") for count in counts), style=style)
    return view


def _matrix(table: pl.DataFrame, by: str, title: str) -> Table:
    """Pass rate and std_score for each value of `by` (down) and target (across)."""
    lines = stats.rates(table, [by, "lang", "target"] if by != "lang" else [by, "target"])
    cells = {(line[by], line["target"]): line for line in lines.iter_rows(named=True)}
    targets = sorted({target for _, target in cells})
    view = Table(title=f"{title}: pass_rate ± std_score", title_justify="left")
    view.add_column(by, overflow="fold")
    for target in targets:
        view.add_column(target, justify="right", overflow="fold")
    for value in dict.fromkeys(value for value, _ in cells):
        found = [cells.get((value, target)) for target in targets]
        view.add_row(value, *(_rate(line) if line else Text("-") for line in found))
    return view


def _rate(line: dict[str, float]) -> Text:
    rate, std = line["pass_rate"], line["std_score"]
    if rate is None:
        return Text("not scored", style="red")
    style = "green" if rate == 1 else "yellow" if rate > 0 else "red"
    return Text(f"{rate:.0%} ± {std:.0f}", style=style)


def _rounds(table: pl.DataFrame, later: pl.DataFrame) -> Iterator[Table | Text]:
    """What each round of repairs adds to each target's first answers, and what all cost."""
    lines = stats.by_round(table, later)
    has_cost = lines["cost_usd"].is_not_null().any()
    view = Table(title="by round: pass_rate of first answers and repairs", title_justify="left")
    view.add_column("target", overflow="fold")
    titles = ["round", "asked", "passed", "pass_rate by then", INTERVAL, "tokens"]
    for title in [*titles, "cost"] if has_cost else titles:
        view.add_column(title, justify="right", no_wrap=True)
    for line in lines.iter_rows(named=True):
        cells = [
            line["target"] if line["round"] == 1 else "",
            str(line["round"]),
            str(line["attempts"]),
            str(line["passed"]),
            percent(line["pass_rate"]),
            interval(line["low"], line["high"]),
            number(line["tokens"], 0),
        ]
        view.add_row(*cells, *([number(line["cost_usd"], 4, " $")] if has_cost else []))
    yield view
    if has_cost:
        yield Text(f"All rounds cost {lines['cost_usd'].sum():.4f} $.")


def _infrastructure(table: pl.DataFrame, said: str) -> Iterator[Text]:
    bad = table.filter(pl.col("score").is_null())
    if bad.is_empty():
        return
    yield Text(f"{len(bad)} of {len(table)} {said}", style="bold red")
    for (outcome, log), group in bad.group_by("outcome", "log_head", maintain_order=True):
        yield Text(f"  {len(group)} × {outcome}: {str(log).splitlines()[0] if log else ''}", "red")


def _advice(table: pl.DataFrame) -> Iterator[Text]:
    """Warnings that name the next flag to try."""
    cut = (table["outcome"] == Outcome.TRUNCATED.value).sum()
    if cut and not table["recorded"].any():
        yield Text(f"{cut} answers were cut at the token limit: try a larger --max-tokens.")
    slow = (table["outcome"] == Outcome.TIMEOUT.value).mean()
    if isinstance(slow, float) and slow > 0.2:
        yield Text(f"{slow:.0%} of the attempts timed out: try a larger --docker-timeout.")
