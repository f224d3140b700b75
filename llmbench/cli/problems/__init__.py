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
    """Do one action and return its exit code."""
    runners = load_runners(plan.bundled_dir("runners"))
    # Each action loads only what it needs itself.
    match options:
        case ListOptions():
            from llmbench.cli.problems import show

            return show.list_all(chosen(options.problems, runners))
        case ShowOptions():
            from llmbench.cli.problems import show

            return show.show(options, chosen(options.problems, runners), runners)
        case NewOptions():
            from llmbench.cli.problems import new

            return new.new(options, runners)
        case CheckOptions():
            from llmbench.cli.problems import check

            return check.check(options, chosen(options.problems, runners), runners)
        case ImportOptions():
            from llmbench.cli.problems import import_

            return import_.import_all(options, runners)


def languages(runners: dict[str, Runner]) -> problem_files.Languages:
    """What problem files may say of each language."""
    return {lang: runner.option_values for lang, runner in runners.items()}


def chosen(options: ProblemOptions, runners: dict[str, Runner]) -> Sequence[Problem]:
    """The problems that the flags name."""
    loaded = problem_files.load(options.paths, languages(runners))
    return problem_files.select(loaded, langs=options.langs, only=options.only)
