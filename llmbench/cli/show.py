"""`llmbench show`: one attempt, as far as it is still there."""

from collections.abc import Iterator, Mapping, Sequence

from llmbench import answers, config, problems, prompts
from llmbench.cli.options.show import Options
from llmbench.cli.screen import Screen
from llmbench.errors import ProblemFileError, ResultFileError
from llmbench.records import Problem, Row
from llmbench.reports.attempt import Section, attempt
from llmbench.sandboxes.runners import Runner, load_runners
from llmbench.store import kept, tables
from llmbench.store.kept import Kept


def main(options: Options) -> int:
    """Show an attempt and return the exit code.

    Raises:
        UsageError: there is no such attempt, or several fit.
    """
    runs = _runs(options, tables.rows(tables.read(options.result)))
    row = next((row for row in runs if row.run == options.run), None)
    if row is None:
        known = ", ".join(f"#{row.run}" for row in runs)
        raise ResultFileError(f"{options.problem}#{options.run}: no such run; there are: {known}")
    found = kept.find(row, kept.work_folders(options.result, options.work))
    runners = load_runners(config.shipped("runners"))
    outcomes = [f"#{each.run} {each.outcome.replace('_', ' ')}" for each in runs]
    sections = list(_sections(options, row, found, runners))
    screen = Screen(quiet=False)
    screen.read(attempt(row, outcomes, sections))
    if found.work is not None:
        screen.say("", f"kept in: {found.work}")
    return 0


def _runs(options: Options, rows: Sequence[Row]) -> list[Row]:
    """The rows of one problem and target, in the order of their runs."""
    asked = [row for row in rows if row.problem_id == options.problem]
    if not asked:
        known = ", ".join(sorted({row.problem_id for row in rows}))
        raise ResultFileError(
            f"{options.problem}: no such problem in {options.result}; there are: {known}"
        )
    targets = sorted({row.target for row in asked})
    if options.target is not None:
        asked = [row for row in asked if options.target in (row.target, row.model)]
    if len({row.target for row in asked}) != 1:
        wrong = f"{options.target}: no such target" if not asked else "several targets"
        raise ResultFileError(f"{wrong}: choose with --target from {', '.join(targets)}")
    return sorted(asked, key=lambda row: row.run)


def _sections(
    options: Options, row: Row, found: Kept, runners: dict[str, Runner]
) -> Iterator[Section]:
    runner = runners.get(row.lang)
    prompt = _prompt(options, row, runners)
    yield Section("prompt", prompt, f"problem {row.problem_id} has changed since, or is not among "
                  "those of --problems: its hash was " + row.problem_sha256[:12])  # fmt: skip
    answer, files = found.completion, found.files
    gone = "the run's work folder was not found; name the folder that holds it with --work"
    if row.llm_seconds is None:
        gone = "the server gave no answer"
    elif found.work is not None:
        gone = f"it was removed from {found.work}"
    reasoning = answer.reasoning if answer else files.get(kept.REASONING)
    if reasoning:
        yield Section("reasoning", reasoning)
    text = answer.text if answer else files.get(kept.ANSWER)
    yield Section("answer", text, gone)
    yield _code(row, text, files, runner, gone)
    log = files.get(kept.LOG)
    if log is None and row.log_head:
        yield Section("log, its head alone", row.log_head)
    else:
        yield Section("log", log or None, "nothing was printed" if log == "" else gone)


def _code(
    row: Row, text: str | None, files: Mapping[str, str], runner: Runner | None, gone: str
) -> Section:
    """The code that was kept; else as it is found in the answer."""
    if runner is None:
        return Section("code", None, f"no runner here knows the language {row.lang}")
    name = runner.about.solution
    code = files.get(name)
    if code is None and text is not None:
        about = runner.about
        code = answers.extract(text, fences=about.fences, signs=about.signs).code
        gone = "the answer holds none"
    return Section(f"code: {name}", code, gone, name)


def _prompt(options: Options, row: Row, runners: dict[str, Runner]) -> str | None:
    """The prompt as it was sent, if the problem is still the one that was asked."""
    languages = {lang: runner.option_values for lang, runner in runners.items()}
    try:
        loaded: list[Problem] = problems.load(options.problems, languages)
    except ProblemFileError:
        return None
    for problem in loaded:
        if problem.sha256 == row.problem_sha256:
            sent = prompts.messages(problem, runners[problem.lang].about.instructions)
            return "\n\n".join(f"[{message.role}]\n{message.content}" for message in sent)
    return None
