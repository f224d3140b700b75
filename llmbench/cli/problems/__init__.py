"""`llmbench problems ACTION`: one file per action."""

from collections.abc import Mapping, Sequence

from llmbench import problems as problem_files
from llmbench.cli.options.problems import (
    CheckOptions,
    ImportOptions,
    ListOptions,
    NewOptions,
    ShowOptions,
)
from llmbench.records import Problem
from llmbench.runners import Runner, check_completions, load_all
from llmbench.runs.options import ProblemOptions, RunnerOptions


def main(options: RunnerOptions) -> int:
    """Do one action and return its exit code."""
    runners = load_all(options.runner_paths)
    # Each action imports only what it needs.
    match options:
        case CheckOptions():
            from llmbench.cli.problems import check

            return check.check(options, load_chosen(options, runners), runners)
        case ShowOptions():
            from llmbench.cli.problems import show

            return show.show(options, load_chosen(options, runners), runners)
        case ListOptions():
            from llmbench.cli.problems import list_

            return list_.list_all(options, load_chosen(options, runners))
        case NewOptions():
            from llmbench.cli.problems import new

            return new.new(options, runners)
        case ImportOptions():
            from llmbench.cli.problems import import_

            return import_.import_all(options, runners)
    raise AssertionError(options)


def languages(runners: Mapping[str, Runner]) -> problem_files.Languages:
    """Return the options that problem files may set, by language."""
    return {lang: runner.option_values for lang, runner in runners.items()}


def load_chosen(options: ProblemOptions, runners: Mapping[str, Runner]) -> Sequence[Problem]:
    """Return the problems that the options choose."""
    loaded = problem_files.load(options.problem_paths, languages(runners))
    check_completions(loaded, runners)
    return problem_files.select(loaded, langs=options.langs, only=options.only)
