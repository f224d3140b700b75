"""`llmbench run --dry-run`: what a run would ask, take and cost; no model is asked."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pydantic_core import from_json

from llmbench import prompts
from llmbench.completions import Usage
from llmbench.errors import UsageError
from llmbench.models.pricing import Price
from llmbench.models.usage import estimate
from llmbench.plan import WORK_FOLDER, Plan
from llmbench.records import Problem, Row, Target
from llmbench.reports import format as fmt
from llmbench.reports.console import Console
from llmbench.reports.render import Document, Grid, Line, Paragraph, render
from llmbench.runners import Runner, load_all
from llmbench.runs import targets
from llmbench.runs.options import RunOptions
from llmbench.runs.run import load_problems, plan_of
from llmbench.runs.targets import OpenTargets
from llmbench.sandboxes.open import missing_parts
from llmbench.store import journal, result_paths

NEWEST_RUNS = 20
"""Number of earlier runs whose answers are the basis of expectations."""

NOTE = (
    "prompt tokens are estimated (4 bytes a token); expected figures are medians of earlier runs "
    "of the same target in the work folder; at most: every answer as long as --max-tokens"
)


@dataclass
class Earlier:
    """Answers of earlier runs, by target: completion tokens and seconds of each."""

    tokens: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, row: Row) -> None:
        """Count the answer of a row."""
        if row.completion_tokens is not None:
            self.tokens[row.target].append(row.completion_tokens)
        if row.llm_seconds is not None:
            self.seconds[row.target].append(row.llm_seconds)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The size of a target's part of a run; None where it is not known.

    Tokens are those of all attempts; costs are in USD and `seconds` are of the whole part.
    """

    target: str
    attempts: int
    prompt_tokens: int
    expected_tokens: int | None
    most_tokens: int | None
    expected_usd: float | None
    most_usd: float | None
    seconds: float | None


async def dry_run(options: RunOptions, console: Console) -> int:
    """Print what a run would do, and return the exit code.

    Raises:
        LlmbenchError: the run could not begin.
    """
    if options.resume is not None:
        raise UsageError("--dry-run cannot be given with --resume", hint="leave one of them out")
    runners = load_all(options.runner_paths)
    _, chosen = load_problems(options, runners)
    problems = targets.with_recorded_answers(options, chosen)
    result_paths.check(options.out)
    async with targets.open_targets(options, problems, console, {}) as opened:
        plan = plan_of(options, opened.endpoints, problems)
        needed = {problem.lang: runners[problem.lang] for problem in problems}
        earlier = earlier_answers()
        forecasts = [
            _forecast(plan, target, endpoint.concurrency, needed, opened.prices, earlier)
            for endpoint in plan.endpoints
            for target in endpoint.targets
        ]
        parts = [part async for part in missing_parts(options.spec, needed)]
        notes = [plan.outline, *_unloaded(opened), *parts, "no model was asked"]
    console.print_tables(render(_document(forecasts, notes), "text"))
    return 0


def earlier_answers() -> Earlier:
    """Return the answers of the newest runs in the work folder; damaged lines are skipped."""
    earlier = Earlier()
    for path in sorted(WORK_FOLDER.glob(f"*/{journal.NAME}"))[-NEWEST_RUNS:]:
        with suppress(OSError), path.open("rb") as lines:
            for row in _rows(lines):
                earlier.add(row)
    return earlier


def _rows(lines: Iterable[bytes]) -> Iterator[Row]:
    for line in lines:
        with suppress(ValueError):
            entry = journal.parse_entry(from_json(line)) if b'"row"' in line else None
            if isinstance(entry, journal.ResultEntry) and not entry.row.from_cache:
                yield entry.row


def _forecast(
    plan: Plan,
    target: Target,
    concurrency: int,
    runners: Mapping[str, Runner],
    prices: Mapping[str, Price],
    earlier: Earlier,
) -> Forecast:
    attempts = len(plan.problems) * plan.runs
    prompt = plan.runs * sum(_prompt_tokens(target, p, runners) for p in plan.problems)
    tokens, seconds = earlier.tokens[target.label], earlier.seconds[target.label]
    expected = round(attempts * median(tokens)) if tokens else None
    limit = target.sampling.max_tokens
    most = None if limit is None else attempts * limit
    price = prices.get(target.label)
    return Forecast(
        target.label,
        attempts,
        prompt,
        expected,
        most,
        _cost(price, prompt, expected, attempts),
        _cost(price, prompt, most, attempts),
        attempts * median(seconds) / concurrency if seconds else None,
    )


def _prompt_tokens(target: Target, problem: Problem, runners: Mapping[str, Runner]) -> int:
    instructions = runners[problem.lang].config.instructions
    messages = prompts.messages(problem, instructions, target.sampling.system)
    return estimate(*(message.content for message in messages))


def _cost(price: Price | None, prompt: int, completion: int | None, requests: int) -> float | None:
    if price is None or completion is None:
        return None
    cost = price.cost(Usage(prompt, completion))
    return None if cost is None else cost + (requests - 1) * price.request


def _unloaded(opened: OpenTargets) -> Iterator[str]:
    """Yield a line for each model that the run would load."""
    for label, served in opened.hosting.record().items():
        if served.get("loaded") is False:
            yield f"would be loaded: {label}"


def _document(forecasts: list[Forecast], notes: list[str]) -> Document:
    head = (
        "target",
        "attempts",
        "prompt tokens",
        "answer tokens expected",
        "at most",
        "cost expected",
        "at most",
        "time expected",
    )
    grid = Grid(head, [_cells(forecast) for forecast in forecasts], text_columns=1)
    return Document([grid, Paragraph([Line(note) for note in (NOTE, *notes)])], None)


def _cells(forecast: Forecast) -> list[str]:
    def whole(value: float | None) -> str:
        return "-" if value is None else f"{value:,.0f}"

    values: list[Any] = [forecast.attempts, forecast.prompt_tokens]
    values += [forecast.expected_tokens, forecast.most_tokens]
    minutes = None if forecast.seconds is None else forecast.seconds / 60
    return [
        forecast.target,
        *map(whole, values),
        fmt.dollars(forecast.expected_usd),
        fmt.dollars(forecast.most_usd),
        fmt.number(minutes, 1, " min"),
    ]
