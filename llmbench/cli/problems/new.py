"""`llmbench problems new`: a small valid problem, to be edited."""

from pathlib import Path

from llmbench import problems as problem_files
from llmbench.cli.options.problems import NewOptions
from llmbench.cli.problems import languages
from llmbench.errors import OutputError, RunnerFileError, UsageError
from llmbench.reports.console import Console
from llmbench.runners import AUTHORING, Runner

TEMPLATE = "template.yaml"
PLACEHOLDER = "PROBLEM-ID"


def new(options: NewOptions, runners: dict[str, Runner]) -> int:
    """Write the language's template under this id, to a new file or at the end of one.

    Raises:
        UsageError: the language is unknown, or the id is malformed or in use.
        OutputError: the file cannot be written.
    """
    template = _template(options.lang, runners)
    if not problem_files.ID.fullmatch(options.id):
        raise UsageError(f"{options.id!r}: an id may have letters, digits and . _ - only")
    path = options.path
    before = ""
    if path.is_file():
        ids = {problem.id for problem in problem_files.load([path], languages(runners))}
        if options.id in ids:
            reason = f"{path}: has a problem {options.id!r} already"
            raise UsageError(reason, hint="choose another id")
        before = path.read_text(encoding="utf-8").rstrip() + "\n\n"
    try:
        path.write_text(before + template.replace(PLACEHOLDER, options.id), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    Console(quiet=False).print(
        f"{path}: {'added' if before else 'written'}, a valid problem; "
        "now edit its prompt, tests, reference and wrong answers",
        f"then: llmbench problems check --problems {path} --only {options.id}",
    )
    return 0


def _template(lang: str, runners: dict[str, Runner]) -> str:
    if lang not in runners:
        raise UsageError(f"--lang {lang}: no such language; there are: {', '.join(runners)}")
    path: Path = runners[lang].folder / AUTHORING / TEMPLATE
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunnerFileError(f"{path}: cannot be read: {error.strerror}") from None
