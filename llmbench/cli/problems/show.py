"""`llmbench problems show`."""

from collections.abc import Iterator, Mapping, Sequence

from llmbench import prompts
from llmbench.cli.options.problems import ShowOptions
from llmbench.errors import UsageError
from llmbench.records import Problem
from llmbench.reports.console import Console
from llmbench.runners import Runner


def show(options: ShowOptions, problems: Sequence[Problem], runners: Mapping[str, Runner]) -> int:
    """Print the messages that a model gets, and with --full the tests and answers too.

    Raises:
        UsageError: no problem has this id.
    """
    problem = next((p for p in problems if p.id == options.id), None)
    if problem is None:
        raise UsageError(f"{options.id}: no such problem", hint="see llmbench problems list")
    runner = runners[problem.lang]
    console = Console(quiet=False)
    console.print(*_facts(problem, runner))
    for message in prompts.messages(problem, runner.config.instructions):
        console.print("", f"── {message.role} ──", message.content)
    if options.full:
        parts = {**problem.tests}
        if problem.reference is not None:
            parts["reference"] = problem.reference
        parts |= {f"wrong answer {name}": code for name, code in problem.wrong_answers.items()}
        for name, text in parts.items():
            console.print("", f"── {name} ──", text.rstrip())
    return 0


def _facts(problem: Problem, runner: Runner) -> Iterator[str]:
    limit = problem.timeout if isinstance(problem.timeout, str) else f"{problem.timeout or '-'} s"
    yield f"{problem.id}: {runner.config.title}, {problem.difficulty or 'no difficulty stated'}"
    yield f"tags: {', '.join(problem.tags) or '-'}"
    yield f"limit: {limit}; tests: {', '.join(problem.tests)}"
    yield f"wrong answers: {', '.join(problem.wrong_answers) or '-'}"
    if problem.origin or problem.license:
        yield f"origin: {problem.origin or '-'}; license: {problem.license or '-'}"
