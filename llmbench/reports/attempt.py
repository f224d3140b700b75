"""One attempt for people: prompt, answer, code, log."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from llmbench.records import Row
from llmbench.reports.sanitize import escape_controls, single_line
from llmbench.reports.sections import Section
from llmbench.reports.summary import NOT_MODEL


def attempt(
    row: Row, outcomes: Sequence[str], sections: Sequence[Section]
) -> Iterator[RenderableType]:
    """The facts of an attempt and its texts; `outcomes` are those of all runs, in their order."""
    if row.replayed:
        yield Text(NOT_MODEL, style="bold yellow")
    yield Text(
        f"{single_line(row.problem_id)} run {row.run} by {single_line(row.target)}", style="bold"
    )
    yield Text(facts(row))
    yield Text(f"all runs: {', '.join(outcomes)}")
    yield from _texts(sections)


def later_round(row: Row, sections: Sequence[Section]) -> Iterator[RenderableType]:
    """The facts of a later round of an attempt and its texts."""
    yield Text()
    yield Text(f"round {row.round}", style="bold")
    yield Text(facts(row))
    yield from _texts(sections)


def _texts(sections: Sequence[Section]) -> Iterator[RenderableType]:
    for section in sections:
        yield Text()
        yield Rule(section.title, align="left")
        if section.text is None:
            yield Text(f"not there: {section.missing}", style="yellow")
        else:
            yield _coloured(section.name, escape_controls(section.text.rstrip("\n")))


def _coloured(name: str, text: str) -> Text:
    """The text, highlighted as its file name suggests."""
    if not name:
        return Text(text)
    lexer = Syntax.guess_lexer(name, text)
    coloured = Syntax("", lexer, theme="ansi_dark").highlight(text)
    coloured.rstrip()
    return coloured


def facts(row: Row) -> str:
    """What is known of an attempt beside its texts, in one line."""
    told = [row.outcome.replace("_", " ")]
    if row.tests_total is not None:
        told.append(f"{row.tests_passed} of {row.tests_total} tests passed")
    if row.exit_code is not None:
        told.append(f"exit {row.exit_code}")
    if row.llm_seconds is not None:
        told.append(f"{row.llm_seconds:.2f} s to answer")
    if row.completion_tokens is not None:
        told.append(f"{row.completion_tokens} tokens")
    if row.cost_usd is not None:
        told.append(f"{row.cost_usd:.4f} $")
    if row.finish_reason is not None:
        told.append(f"ended by {single_line(row.finish_reason)!r}")
    return ", ".join(told)
