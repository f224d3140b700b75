"""Sentences that end the summary of a run: what was odd, and what to do about it."""

from collections.abc import Iterator

import polars as pl
from rich.text import Text

from llmbench.finish_reasons import Ending, ending
from llmbench.reasoning_requests import reasoning_request
from llmbench.records import ONLY_REASONING, Outcome
from llmbench.texts import counted

SHOWN = 4
"""Number of upstream providers, or of versions of a model, that one sentence names."""


def advice(table: pl.DataFrame) -> Iterator[Text]:
    """Yield warnings about the rows of first answers, with the next thing to try."""
    real = table.filter(~pl.col("replayed"))
    yield from _cut_answers(real)
    yield from _only_reasoning(table)
    yield from _reasoning(real)
    yield from _several_models(real)
    slow = (table["outcome"] == Outcome.TIMEOUT.value).mean()
    if isinstance(slow, float) and slow > 0.2:
        yield Text(f"{slow:.0%} of the attempts timed out: try a larger --test-timeout.")


def _cut_answers(table: pl.DataFrame) -> Iterator[Text]:
    """Yield warnings of answers that the token limit cut, and of those that the server cut."""
    reasons = table["finish_reason"].unique().to_list()
    cut = pl.col("finish_reason").is_in([r for r in reasons if r and ending(r) is Ending.CUT])
    early = cut & (
        (pl.col("usage_source") == "server") & (pl.col("completion_tokens") < pl.col("max_tokens"))
    ).fill_null(value=False)
    at_limit = table.filter((pl.col("outcome") == Outcome.TRUNCATED.value) & ~early).height
    if at_limit:
        yield Text(
            f"{counted(at_limit, 'answer was', 'answers were')} cut at the token limit: try a "
            "larger --max-tokens."
        )
    for (target,), rows in table.filter(early).group_by("target", maintain_order=True):
        low, high = _range(rows["completion_tokens"])
        _, context = _range(rows["context_length"])
        of_context = f" of {context} tokens" if context else ""
        yield Text(
            f"{target}: {counted(rows.height, 'answer', 'answers')} ended for reasons of length "
            f"after {low} to {high} tokens, below --max-tokens {rows['max_tokens'][0]}: the server "
            f"cut them, probably at the end of its context{of_context}. Load the model with a "
            "larger context.",
            "yellow",
        )


def _only_reasoning(table: pl.DataFrame) -> Iterator[Text]:
    """Yield a warning for each target that has answers whose whole text came as reasoning."""
    is_empty = (pl.col("extraction") == ONLY_REASONING) & (
        pl.col("outcome") == Outcome.NO_CODE.value
    )
    for (target,), rows in table.group_by("target", maintain_order=True):
        count, answers = rows.filter(is_empty).height, rows["extraction"].count()
        if count:
            yield Text(
                f"{target}: {_share(count, answers)} came as reasoning alone: choose the reasoning "
                "parser of this model at the server, or turn its reasoning off."
            )


def _reasoning(table: pl.DataFrame) -> Iterator[Text]:
    """Yield a warning for each target whose reasoning is not as it was asked for."""
    known = table.filter(pl.col("has_reasoning").is_not_null())
    by = ("target", "reasoning_effort", "params")
    for (target, effort, params), rows in known.group_by(by, maintain_order=True):
        request = reasoning_request(
            None if effort is None else str(effort), None if params is None else str(params)
        )
        if request is None:
            continue
        parameter, wanted = request
        odd = rows.filter(pl.col("has_reasoning") != wanted).height
        if odd and wanted:
            yield Text(
                f"{target}: reasoning was asked for ({parameter}), and {_share(odd, rows.height)} "
                "have none that the server shows.",
                "yellow",
            )
        elif odd:
            yield Text(
                f"{target}: no reasoning was asked for ({parameter}), and "
                f"{_share(odd, rows.height)} have some: the parameter did not take effect.",
                "yellow",
            )


def _several_models(table: pl.DataFrame) -> Iterator[Text]:
    """Yield a warning for each target that was several models, or came from several providers."""
    kinds = {
        "provider_reported": "came from several providers",
        "model_reported": "came from several models or versions",
        "quantization": "came from several quantizations",
    }
    for (target,), rows in table.group_by("target", maintain_order=True):
        for column, words in kinds.items():
            counts = rows[column].drop_nulls().value_counts(sort=True)
            if counts.height < 2:
                continue
            names = [f"{name} ({count})" for name, count in counts.head(SHOWN).iter_rows()]
            more = f" and {counts.height - SHOWN} more" if counts.height > SHOWN else ""
            yield Text(f"{target}: answers {words}: {', '.join(names)}{more}.", "yellow")


def _range(values: pl.Series) -> tuple[int, int]:
    """Return the least and the largest of some counts; 0 where there are none."""
    known = values.drop_nulls().to_list()
    return min(known, default=0), max(known, default=0)


def _share(count: int, total: int) -> str:
    return f"{count} of {counted(total, 'answer', 'answers')} ({count / total:.0%})"
