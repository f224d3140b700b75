"""The tables that end a run in the terminal."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from llmbench import stats
from llmbench.records import Outcome
from llmbench.reports.advice import advice
from llmbench.reports.columns import (
    REPAIR_STATISTICS,
    REPLAY_NOTICE,
    STABILITY_NOTE,
    STABILITY_STATISTICS,
    STATISTICS,
    Place,
    row_cells,
    select,
    titles,
)
from llmbench.reports.console import fit_table
from llmbench.reports.descriptions import DESCRIPTIONS, descriptions


def summary(
    table: pl.DataFrame, width: int, repairs: pl.DataFrame | None = None
) -> Iterator[RenderableType]:
    """Yield tables by target, outcome, stability, language, problem and round, and what to do next.

    `table` holds the rows of first answers, `repairs` those of repairs, which count in the table of
    rounds alone. Where the names of the targets do not fit into `width` columns of text, numbers
    stand for them. Where not even these fit, the targets are split over several tables.
    """
    if table["replayed"].any():
        yield Text(REPLAY_NOTICE, style="bold yellow")
    if table.is_empty():
        yield Text("No attempt has ended.", style="bold red")
        return
    lines = stats.summarize(table, ["target"]).sort("pass_rate", descending=True, nulls_last=True)
    ranked = lines["target"].to_list()
    names = {target: target for target in ranked}
    views = [_targets(lines, names), _outcomes(lines, names)]
    if not all(fit_table(view, width) for view in views):
        names = {target: str(rank) for rank, target in enumerate(ranked, 1)}
        views = [_targets(lines, names), _outcomes(lines, names)]
        for view in views:
            fit_table(view, width)
        yield Text("\n".join(f"{rank} {target}" for target, rank in names.items()))
    yield from views
    yield from _models(table, names, width)
    yield from _stability(table, names, width)
    yield from _matrix(table, "lang", names, width)
    yield from _matrix(table, "problem_id", names, width)
    yield from _infrastructure(table, "attempts were not scored: not the models' failure, and in "
                               "no rate above.")  # fmt: skip
    if repairs is not None:
        yield from _rounds(table, repairs, names, width)
        yield from _infrastructure(repairs, "repairs were not scored: not the models' failure, but "
                                   "counted above as not passed.")  # fmt: skip
    yield from advice(table)


def _targets(lines: pl.DataFrame, names: Mapping[str, str]) -> Table:
    view = Table(title="by target", title_justify="left")
    numbered = _numbered(names)
    view.add_column("#" if numbered else "target", no_wrap=numbered, overflow="fold")
    statistics = select(STATISTICS, lines, Place.SUMMARY)
    for title in titles(statistics):
        view.add_column(title, justify="right", no_wrap=True)
    for line in lines.iter_rows(named=True):
        view.add_row(names[line["target"]], *row_cells(statistics, line))
    return view


def _numbered(names: Mapping[str, str]) -> bool:
    """True if numbers stand for the names of the targets."""
    return any(name != target for target, name in names.items())


def _outcomes(lines: pl.DataFrame, names: Mapping[str, str]) -> Table:
    """Return the number of attempts by outcome (down) and target (across)."""
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


def _models(table: pl.DataFrame, names: Mapping[str, str], width: int) -> Iterator[Table]:
    """Yield the models as their servers describe them, without columns that no server fills."""
    columns = {column: descriptions(table, column, DESCRIPTIONS[column]) for column in DESCRIPTIONS}
    described = {column: values for column, values in columns.items() if any(values.values())}
    if not described:
        return
    view = Table(title="by target: the model, as its server says", title_justify="left")
    view.add_column("#" if _numbered(names) else "target", overflow="fold")
    for column in described:
        view.add_column(column.removesuffix("_length"), overflow="fold")
    for target, name in names.items():
        view.add_row(name, *(values.get(target) or "-" for values in described.values()))
    fit_table(view, width)
    yield view


def _stability(table: pl.DataFrame, names: Mapping[str, str], width: int) -> Iterator[Table | Text]:
    """Yield what repeated runs of the same problem tell, and what would narrow the intervals."""
    by_target = {line["target"]: line for line in stats.stability(table, ["target"]).to_dicts()}
    if not by_target:
        return
    view = Table(title="by target: repeated runs of the same problem", title_justify="left")
    view.add_column("#" if _numbered(names) else "target", overflow="fold")
    for title in titles(STABILITY_STATISTICS):
        view.add_column(title, justify="right", no_wrap=True)
    lines = [(name, by_target[target]) for target, name in names.items() if target in by_target]
    for name, line in lines:
        view.add_row(name, *row_cells(STABILITY_STATISTICS, line))
    fit_table(view, width)
    yield view
    yield Text(STABILITY_NOTE)
    for more, less in (("problems", "runs"), ("runs", "problems")):
        better = [name for name, line in lines if _narrows(line, more, less)]
        if better:
            of = "" if len(better) == len(lines) else f" of {', '.join(better)}"
            yield Text(
                f"{stats.MORE} more {more} narrow the interval of pass_rate{of} more than "
                f"{stats.MORE} more {less}."
            )


def _narrows(line: Mapping[str, float | None], more: str, less: str) -> bool:
    """True if 10 `more` leave a smaller error than 10 `less`."""
    one, other = line[f"error_more_{more}"], line[f"error_more_{less}"]
    return one is not None and other is not None and one < other


def _matrix(table: pl.DataFrame, by: str, names: Mapping[str, str], width: int) -> Iterator[Table]:
    """Yield pass rate and std_score by value of `by` (down) and target (across)."""
    lines = stats.summarize(table, [by, "lang", "target"] if by != "lang" else [by, "target"])
    cells = {(line[by], line["target"]): line for line in lines.iter_rows(named=True)}
    targets = list(names)
    size = len(targets)
    while not fit_table(_part(by, cells, names, targets[:size]), width) and size > 1:
        size -= 1
    size = -(-len(targets) // -(-len(targets) // size))  # about as many in each table
    for start in range(0, len(targets), size):
        view = _part(by, cells, names, targets[start : start + size])
        fit_table(view, width)
        yield view


def _part(
    by: str,
    cells: Mapping[tuple[str, str], Mapping[str, float]],
    names: Mapping[str, str],
    targets: Sequence[str],
) -> Table:
    """Return the table of these targets."""
    title = f"by {by.removesuffix('_id').replace('lang', 'language')}: pass_rate ± std_score"
    view = Table(title=title, title_justify="left")
    view.add_column(by, overflow="fold")
    for target in targets:
        view.add_column(names[target], justify="right", overflow="fold")
    for value in dict.fromkeys(value for value, _ in cells):
        row = [cells.get((value, target)) for target in targets]
        view.add_row(value, *(_rate(line) if line else Text("-") for line in row))
    return view


def _rate(line: Mapping[str, float]) -> Text:
    rate, std = line["pass_rate"], line["std_score"]
    if rate is None:
        return Text("not scored", style="red")
    style = "green" if rate == 1 else "yellow" if rate > 0 else "red"
    return Text(f"{rate:.0%} ± {std:.0f}", style=style)


def _rounds(
    table: pl.DataFrame, repairs: pl.DataFrame, names: Mapping[str, str], width: int
) -> Iterator[Table | Text]:
    """Yield the pass rate of each target by the end of each round, and the cost of all rounds."""
    lines = stats.repair_rounds(table, repairs)
    view = Table(title="by round: pass_rate of first answers and repairs", title_justify="left")
    view.add_column("#" if _numbered(names) else "target", overflow="fold")
    statistics = select(REPAIR_STATISTICS, lines)
    for title in titles(statistics):
        view.add_column(title, justify="right", no_wrap=True)
    for line in lines.iter_rows(named=True):
        name = names[line["target"]] if line["round"] == 1 else ""
        view.add_row(name, *row_cells(statistics, line))
    fit_table(view, width)
    yield view
    if lines["cost_usd"].is_not_null().any():
        yield Text(f"All rounds cost {lines['cost_usd'].sum():.4f} $.")


def _infrastructure(table: pl.DataFrame, explanation: str) -> Iterator[Text]:
    """Yield the number of rows without a score, and their errors with the number of each."""
    unscored = table.filter(pl.col("score").is_null())
    if unscored.is_empty():
        return
    yield Text(f"{len(unscored)} of {len(table)} {explanation}", style="bold red")
    for (outcome, log), group in unscored.group_by("outcome", "log_head", maintain_order=True):
        yield Text(f"  {len(group)} × {outcome}: {str(log).splitlines()[0] if log else ''}", "red")
