"""One attempt for a terminal: its facts, prompt, answer, code and log."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from llmbench.records import Row
from llmbench.reports.columns import REPLAY_NOTICE
from llmbench.reports.sanitize import escape_controls, single_line
from llmbench.reports.sections import Section


def attempt(
    row: Row, outcomes: Sequence[str], sections: Sequence[Section]
) -> Iterator[RenderableType]:
    """Yield the facts and sections of a first answer; `outcomes` are those of all runs in order."""
    if row.replayed:
        yield Text(REPLAY_NOTICE, style="bold yellow")
    yield Text(
        f"{single_line(row.problem_id)} run {row.run} by {single_line(row.target)}", style="bold"
    )
    yield Text(facts(row))
    yield Text(f"all runs: {', '.join(outcomes)}")
    yield from _sections(sections)


def repair(row: Row, sections: Sequence[Section]) -> Iterator[RenderableType]:
    """Yield the facts and sections of a repair."""
    yield Text()
    yield Text(f"round {row.round}", style="bold")
    yield Text(facts(row))
    yield from _sections(sections)


def _sections(sections: Sequence[Section]) -> Iterator[RenderableType]:
    for section in sections:
        yield Text()
        yield Rule(section.title, align="left")
        if section.text is None:
            yield Text(f"not there: {section.missing}", style="yellow")
        else:
            yield _highlighted(section.name, escape_controls(section.text.rstrip("\n")))


def _highlighted(name: str, text: str) -> Text:
    """Return the text, highlighted in the language of its file name."""
    if not name:
        return Text(text)
    lexer = Syntax.guess_lexer(name, text)
    highlighted = Syntax("", lexer, theme="ansi_dark").highlight(text)
    highlighted.rstrip()
    return highlighted


def facts(row: Row) -> str:
    """Return outcome, tests, exit code, time, tokens and cost of an attempt, in one line."""
    parts = [row.outcome.replace("_", " ")]
    if row.tests_total is not None:
        parts.append(f"{row.tests_passed} of {row.tests_total} tests passed")
    if row.exit_code is not None:
        parts.append(f"exit {row.exit_code}")
    if row.llm_seconds is not None:
        parts.append(f"{row.llm_seconds:.2f} s to answer")
    if row.completion_tokens is not None:
        parts.append(f"{row.completion_tokens} tokens")
    if row.cost_usd is not None:
        parts.append(f"{row.cost_usd:.4f} $")
    if row.finish_reason is not None:
        parts.append(f"ended by {single_line(row.finish_reason)!r}")
    return ", ".join(parts)
