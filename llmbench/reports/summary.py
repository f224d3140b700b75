"""The tables that end a run in the terminal: one screen, and the details of each problem."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import polars as pl
from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from llmbench import stats
from llmbench.records import Outcome
from llmbench.reports import format as fmt
from llmbench.reports.advice import advice
from llmbench.reports.columns import (
    DROPPED_FIRST,
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
from llmbench.reports.descriptions import DESCRIPTIONS, descriptions
from llmbench.reports.fitting import FittingTable
from llmbench.stats.items import NEVER
from llmbench.texts import counted

FEW = 3
"""Number of targets up to which each has a line of outcomes of its own."""

NAMED = 4
"""Number of problems that a line about them names."""


def summary(
    table: pl.DataFrame, width: int, repairs: pl.DataFrame | None = None
) -> Iterator[RenderableType]:
    """Yield one screen: languages, outcomes, what needs attention, rounds, and the leaderboard.

    `table` holds the rows of first answers, `repairs` those of repairs, which count in the table of
    rounds alone. Where the names of the targets do not fit into `width` columns of text, numbers
    stand for them.
    """
    if table["replayed"].any():
        yield Text(REPLAY_NOTICE, style="bold yellow")
    if table.is_empty():
        yield Text("No attempt has ended.", style="bold red")
        return
    lines = stats.summarize(table, ["target"]).sort("pass_rate", descending=True, nulls_last=True)
    names = _names(lines, width)
    if _numbered(names):
        yield Text("\n".join(f"{rank} {target}" for target, rank in names.items()))
    languages = _languages(table, names)
    if len(languages.head) > 2:
        yield languages
    yield from _outcomes(lines, names)
    yield from _attention(table)
    if repairs is not None:
        yield from _rounds(table, repairs, names)
        yield from _infrastructure(repairs, "repairs were not scored: not the models' failure, but "
                                   "counted above as not passed.")  # fmt: skip
    yield from advice(table)
    yield from _models(table, names)
    yield _leaderboard(lines, names)


def details(table: pl.DataFrame, width: int) -> Iterator[RenderableType]:
    """Yield the tables of repeated runs, languages and problems by target.

    Where not even numbers for the targets fit, these are split over several tables.
    """
    if table.is_empty():
        return
    lines = stats.summarize(table, ["target"]).sort("pass_rate", descending=True, nulls_last=True)
    names = _names(lines, width)
    if _numbered(names):
        yield Text("\n".join(f"{rank} {target}" for target, rank in names.items()))
    yield from _stability(table, names)
    yield from _matrix(table, "lang", names, width)
    yield from _matrix(table, "problem_id", names, width)


def _names(lines: pl.DataFrame, width: int) -> dict[str, str]:
    """The names of the targets in their order, or numbers where they leave too little room."""
    ranked = lines["target"].to_list()
    if max(map(cell_len, ranked)) <= width // 2:
        return {target: target for target in ranked}
    return {target: str(rank) for rank, target in enumerate(ranked, 1)}


def _numbered(names: Mapping[str, str]) -> bool:
    """True if numbers stand for the names of the targets."""
    return any(name != target for target, name in names.items())


def _table(names: Mapping[str, str], head: Sequence[str], title: str) -> FittingTable:
    first = "#" if _numbered(names) else "target"
    return FittingTable([first, *head], title=title, framed=False)


def _leaderboard(lines: pl.DataFrame, names: Mapping[str, str]) -> FittingTable:
    statistics = select(STATISTICS, lines, Place.SUMMARY)
    view = _table(names, titles(statistics), "leaderboard")
    view.droppable = DROPPED_FIRST
    for line in lines.iter_rows(named=True):
        view.rows.append([names[line["target"]], *row_cells(statistics, line)])
    return view


def _models(table: pl.DataFrame, names: Mapping[str, str]) -> Iterator[FittingTable]:
    """Yield the models as their servers describe them, without columns that no server fills."""
    columns = {column: descriptions(table, column, DESCRIPTIONS[column]) for column in DESCRIPTIONS}
    described = {column: values for column, values in columns.items() if any(values.values())}
    if not described:
        return
    head = [column.removesuffix("_length") for column in described]
    view = _table(names, head, "the models, as their servers describe them")
    view.text_columns = len(view.head)
    view.droppable = [title for title in reversed(head) if title != "quantization"]
    for target, name in names.items():
        cells = [values.get(target) or "-" for values in described.values()]
        view.rows.append([name, *cells])
    yield view


def _languages(table: pl.DataFrame, names: Mapping[str, str]) -> FittingTable:
    """Return the pass rate of each target (down) by language (across), with its interval."""
    lines = stats.summarize(table, ["lang", "target"])
    cells = {(line["target"], line["lang"]): line for line in lines.iter_rows(named=True)}
    languages = lines["lang"].unique(maintain_order=True).to_list()
    view = _table(
        names, languages, f"pass rate by language, with its {stats.CONFIDENCE:.0%} interval"
    )
    view.droppable = languages[:0:-1]
    for target, name in names.items():
        by_language = [cells.get((target, lang)) for lang in languages]
        view.rows.append([name, *(_rate_with_interval(line) for line in by_language)])
    return view


def _rate_with_interval(line: Mapping[str, float | None] | None) -> Text:
    if line is None or line["pass_rate"] is None:
        return Text("-")
    bounds = fmt.interval(line["ci_low"], line["ci_high"])
    return Text(f"{fmt.whole_percent(line['pass_rate'])} ({bounds})")


def _outcomes(lines: pl.DataFrame, names: Mapping[str, str]) -> Iterator[Text]:
    """Yield the number of attempts by outcome: of each target if they are few, else of all."""
    if len(lines) > FEW:
        yield Text(
            f"outcomes: {_counts(lines.select(pl.sum(*map(str, Outcome))).row(0, named=True))}"
        )
        return
    for line in lines.iter_rows(named=True):
        of = f" of {names[line['target']]}" if len(lines) > 1 else ""
        yield Text(f"outcomes{of}: {_counts(line)}")


def _counts(line: Mapping[str, int]) -> str:
    return ", ".join(
        f"{line[outcome.value]} {outcome.value}" for outcome in Outcome if line[outcome.value]
    )


def _attention(table: pl.DataFrame) -> Iterator[Text]:
    """Yield the problems that flip, those that nobody solved, and the faults of the machine."""
    flipping = stats.summarize(table, ["problem_id", "target"]).filter(pl.col("flaky") > 0)
    if len(flipping):
        flips = [problem for problem, _ in Counter(flipping["problem_id"]).most_common()]
        verbs = "passes in some runs and fails", "pass in some runs and fail"
        yield _problems(f"{verbs[len(flips) > 1]} in others", flips, "yellow")
    unsolved = stats.item_statistics(table).filter(pl.col("solved") == NEVER)
    if len(unsolved):
        yield _problems("never passed", unsolved["problem_id"].to_list(), "red")
    yield from _infrastructure(table, "attempts were not scored: not the models' failure, and in "
                               "no rate below.")  # fmt: skip


def _problems(what: str, problems: Sequence[str], style: str) -> Text:
    more = f" and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
    subject = counted(len(problems), "problem", "problems")
    return Text(f"{subject} {what}: {', '.join(problems[:NAMED])}{more}", style=style)


def _stability(table: pl.DataFrame, names: Mapping[str, str]) -> Iterator[FittingTable | Text]:
    """Yield what repeated runs of the same problem tell, and what would narrow the intervals."""
    by_target = {line["target"]: line for line in stats.stability(table, ["target"]).to_dicts()}
    if not by_target:
        return
    view = _table(names, titles(STABILITY_STATISTICS), "repeated runs of the same problem")
    lines = [(name, by_target[target]) for target, name in names.items() if target in by_target]
    for name, line in lines:
        view.rows.append([name, *row_cells(STABILITY_STATISTICS, line)])
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


def _matrix(
    table: pl.DataFrame, by: str, names: Mapping[str, str], width: int
) -> Iterator[FittingTable]:
    """Yield pass rate and std_score by value of `by` (down) and target (across)."""
    lines = stats.summarize(table, [by, "lang", "target"] if by != "lang" else [by, "target"])
    cells = {(line[by], line["target"]): line for line in lines.iter_rows(named=True)}
    targets = list(names)
    size = len(targets)
    while size > 1 and not _part(by, cells, names, targets[:size]).fits(width):
        size -= 1
    size = -(-len(targets) // -(-len(targets) // size))  # about as many in each table
    for start in range(0, len(targets), size):
        yield _part(by, cells, names, targets[start : start + size])


def _part(
    by: str,
    cells: Mapping[tuple[str, str], Mapping[str, float]],
    names: Mapping[str, str],
    targets: Sequence[str],
) -> FittingTable:
    """Return the table of these targets."""
    title = f"by {by.removesuffix('_id').replace('lang', 'language')}: pass_rate ± std_score"
    view = FittingTable([by, *(names[target] for target in targets)], title=title)
    for value in dict.fromkeys(value for value, _ in cells):
        row = [cells.get((value, target)) for target in targets]
        view.rows.append([value, *(_rate(line) if line else Text("-") for line in row)])
    return view


def _rate(line: Mapping[str, float]) -> Text:
    rate, std = line["pass_rate"], line["std_score"]
    if rate is None:
        return Text("not scored", style="red")
    style = "green" if rate == 1 else "yellow" if rate > 0 else "red"
    return Text(f"{rate:.0%} ± {std:.0f}", style=style)


def _rounds(
    table: pl.DataFrame, repairs: pl.DataFrame, names: Mapping[str, str]
) -> Iterator[FittingTable | Text]:
    """Yield the pass rate of each target by the end of each round, and the cost of all rounds."""
    lines = stats.repair_rounds(table, repairs)
    statistics = select(REPAIR_STATISTICS, lines)
    view = _table(names, titles(statistics), "by round: pass_rate of first answers and repairs")
    for line in lines.iter_rows(named=True):
        name = names[line["target"]] if line["round"] == 1 else ""
        view.rows.append([name, *row_cells(statistics, line)])
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
