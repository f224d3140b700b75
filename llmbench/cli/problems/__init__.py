"""`llmbench problems ACTION`: one file per action."""

from collections.abc import Sequence

from llmbench import plan
from llmbench import problems as problem_files
from llmbench.cli.options import ProblemOptions
from llmbench.cli.options.problems import (
    CheckOptions,
    ImportOptions,
    ListOptions,
    NewOptions,
    Options,
    ShowOptions,
)
from llmbench.records import Problem
from llmbench.runners import Runner, load_runners


def main(options: Options) -> int:
    """Run one action and return its exit code."""
    runners = load_runners(plan.bundled_dir("runners"))
    # An action imports the modules of no other action.
    match options:
        case ListOptions():
            from llmbench.cli.problems import show

            return show.list_all(load_chosen(options.problems, runners))
        case ShowOptions():
            from llmbench.cli.problems import show

            return show.show(options, load_chosen(options.problems, runners), runners)
        case NewOptions():
            from llmbench.cli.problems import new

            return new.new(options, runners)
        case CheckOptions():
            from llmbench.cli.problems import check

            return check.check(options, load_chosen(options.problems, runners), runners)
        case ImportOptions():
            from llmbench.cli.problems import import_

            return import_.import_all(options, runners)


def languages(runners: dict[str, Runner]) -> problem_files.Languages:
    """Return the options of each language that problem files may set."""
    return {lang: runner.option_values for lang, runner in runners.items()}


def load_chosen(options: ProblemOptions, runners: dict[str, Runner]) -> Sequence[Problem]:
    """Load the problems that the flags select."""
    loaded = problem_files.load(options.paths, languages(runners))
    return problem_files.select(loaded, langs=options.langs, only=options.only)
