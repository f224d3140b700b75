"""The tables that end a run in the terminal."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from llmbench import stats
from llmbench.records import Outcome
from llmbench.reports.console import fit_table
from llmbench.reports.format import interval, number, percent

NOT_MODEL = "Recorded answers were replayed: no model was asked, and these figures rank nothing."
INTERVAL = f"{stats.LEVEL:.0%} interval"


def summary(
    table: pl.DataFrame, width: int, later: pl.DataFrame | None = None
) -> Iterator[RenderableType]:
    """Targets, languages, problems, rounds, and what could not be scored.

    `table` holds result rows, `later` those of later rounds, which only the table of rounds counts.
    Where the names of the targets do not fit into `width` columns of text, numbers stand for them,
    and where not even those fit, the targets come in several tables.
    """
    if table["replayed"].any():
        yield Text(NOT_MODEL, style="bold yellow")
    if table.is_empty():
        yield Text("No attempt has ended.", style="bold red")
        return
    lines = stats.summarize(table, ["target"]).sort("pass_rate", descending=True, nulls_last=True)
    ranked = lines["target"].to_list()
    names = {target: target for target in ranked}
    views = [_targets(lines, names), _outcomes(lines, names)]
    if not all(fit_table(view, width) for view in views):
        names = {target: str(place) for place, target in enumerate(ranked, 1)}
        views = [_targets(lines, names), _outcomes(lines, names)]
        for view in views:
            fit_table(view, width)
        yield Text("\n".join(f"{number} {target}" for target, number in names.items()))
    yield from views
    yield from _matrix(table, "lang", names, width)
    yield from _matrix(table, "problem_id", names, width)
    yield from _infrastructure(table, "attempts were not scored: not the models' failure, and in "
                               "no rate above.")  # fmt: skip
    if later is not None:
        yield from _rounds(table, later, names, width)
        yield from _infrastructure(later, "repairs were not scored: not the models' failure, but "
                                   "counted above as not passed.")  # fmt: skip
    yield from _advice(table)


def _targets(lines: pl.DataFrame, names: Mapping[str, str]) -> Table:
    view = Table(title="by target", title_justify="left")
    numbered = any(name != target for target, name in names.items())
    view.add_column("#" if numbered else "target", no_wrap=numbered, overflow="fold")
    has_cost = lines["cost_usd"].is_not_null().any()
    titles = ["pass_rate", INTERVAL, "std_score", "flaky", "scored", "TTFT", "tokens/s"]
    for title in [*titles, "cost"] if has_cost else titles:
        view.add_column(title, justify="right", no_wrap=True)
    for line in lines.iter_rows(named=True):
        cells = [
            names[line["target"]],
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


def _outcomes(lines: pl.DataFrame, names: Mapping[str, str]) -> Table:
    """How many attempts ended in each outcome (down) for each target (across)."""
    view = Table(title="outcomes", title_justify="left")
    view.add_column("outcome", no_wrap=True)
    for name in names.values():
        view.add_column(name, justify="right", overflow="fold")
    for outcome in Outcome:
        counts = lines[outcome.value].to_list()
        if any(counts):
            style = "red" if outcome.is_infrastructure else ""
            view.add_row(outcome.value, *(str(count or "") for count in counts), style=style)
    return view


def _matrix(table: pl.DataFrame, by: str, names: Mapping[str, str], width: int) -> Iterator[Table]:
    """Pass rate and std_score for each value of `by` (down) and target (across)."""
    lines = stats.summarize(table, [by, "lang", "target"] if by != "lang" else [by, "target"])
    cells = {(line[by], line["target"]): line for line in lines.iter_rows(named=True)}
    targets = list(names)
    together = len(targets)
    while not fit_table(_part(by, cells, names, targets[:together]), width) and together > 1:
        together -= 1
    together = -(-len(targets) // -(-len(targets) // together))  # about as many in each table
    for start in range(0, len(targets), together):
        view = _part(by, cells, names, targets[start : start + together])
        fit_table(view, width)
        yield view


def _part(
    by: str,
    cells: Mapping[tuple[str, str], Mapping[str, float]],
    names: Mapping[str, str],
    targets: Sequence[str],
) -> Table:
    """The columns of these targets."""
    title = f"by {by.removesuffix('_id').replace('lang', 'language')}: pass_rate ± std_score"
    view = Table(title=title, title_justify="left")
    view.add_column(by, overflow="fold")
    for target in targets:
        view.add_column(names[target], justify="right", overflow="fold")
    for value in dict.fromkeys(value for value, _ in cells):
        found = [cells.get((value, target)) for target in targets]
        view.add_row(value, *(_rate(line) if line else Text("-") for line in found))
    return view


def _rate(line: Mapping[str, float]) -> Text:
    rate, std = line["pass_rate"], line["std_score"]
    if rate is None:
        return Text("not scored", style="red")
    style = "green" if rate == 1 else "yellow" if rate > 0 else "red"
    return Text(f"{rate:.0%} ± {std:.0f}", style=style)


def _rounds(
    table: pl.DataFrame, later: pl.DataFrame, names: Mapping[str, str], width: int
) -> Iterator[Table | Text]:
    """What each round of repairs adds to each target's first answers, and what all cost."""
    lines = stats.repair_rounds(table, later)
    has_cost = lines["cost_usd"].is_not_null().any()
    view = Table(title="by round: pass_rate of first answers and repairs", title_justify="left")
    view.add_column("target" if list(names) == list(names.values()) else "#", overflow="fold")
    titles = ["round", "asked", "passed", "pass_rate by then", INTERVAL, "tokens"]
    for title in [*titles, "cost"] if has_cost else titles:
        view.add_column(title, justify="right", no_wrap=True)
    for line in lines.iter_rows(named=True):
        cells = [
            names[line["target"]] if line["round"] == 1 else "",
            str(line["round"]),
            str(line["attempts"]),
            str(line["passed"]),
            percent(line["pass_rate"]),
            interval(line["low"], line["high"]),
            number(line["tokens"], 0),
        ]
        view.add_row(*cells, *([number(line["cost_usd"], 4, " $")] if has_cost else []))
    fit_table(view, width)
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
    if cut and not table["replayed"].any():
        yield Text(f"{cut} answers were cut at the token limit: try a larger --max-tokens.")
    slow = (table["outcome"] == Outcome.TIMEOUT.value).mean()
    if isinstance(slow, float) and slow > 0.2:
        yield Text(f"{slow:.0%} of the attempts timed out: try a larger --docker-timeout.")
