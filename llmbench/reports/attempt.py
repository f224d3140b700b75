"""One attempt for people: prompt, answer, code, log."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import RenderableType
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from llmbench.records import Row
from llmbench.reports.plain import harmless, one_line
from llmbench.reports.summary import NOT_MODEL


class Section(NamedTuple):
    """A text under its title, or the reason why it is not there; `name` is that of its file."""

    title: str
    text: str | None
    missing: str = ""
    name: str = ""


def attempt(
    row: Row, outcomes: Sequence[str], sections: Sequence[Section]
) -> Iterator[RenderableType]:
    """The facts of an attempt and its texts; `outcomes` are those of all runs, in their order."""
    if row.recorded:
        yield Text(NOT_MODEL, style="bold yellow")
    yield Text(f"{one_line(row.problem_id)} run {row.run} by {one_line(row.target)}", style="bold")
    yield Text(_facts(row))
    yield Text(f"all runs: {', '.join(outcomes)}")
    for section in sections:
        yield Text()
        yield Rule(section.title, align="left")
        if section.text is None:
            yield Text(f"not there: {section.missing}", style="yellow")
        else:
            yield _coloured(section.name, harmless(section.text.rstrip("\n")))


def _coloured(name: str, text: str) -> Text:
    """The text, highlighted as its file name suggests."""
    if not name:
        return Text(text)
    lexer = Syntax.guess_lexer(name, text)
    coloured = Syntax("", lexer, theme="ansi_dark").highlight(text)
    coloured.rstrip()
    return coloured


def _facts(row: Row) -> str:
    facts = [row.outcome.replace("_", " ")]
    if row.tests_total is not None:
        facts.append(f"{row.tests_passed} of {row.tests_total} tests passed")
    if row.exit_code is not None:
        facts.append(f"exit {row.exit_code}")
    if row.llm_seconds is not None:
        facts.append(f"{row.llm_seconds:.2f} s to answer")
    if row.completion_tokens is not None:
        facts.append(f"{row.completion_tokens} tokens")
    if row.cost_usd is not None:
        facts.append(f"{row.cost_usd:.4f} $")
    if row.finish_reason is not None:
        facts.append(f"ended by {one_line(row.finish_reason)!r}")
    return ", ".join(facts)
