"""Flags of `llmbench problems`, their defaults and their help."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llmbench.cli.options import (
    Parser,
    ProblemOptions,
    SandboxOptions,
    positive_int,
    problem_flags,
    problem_options,
    sandbox_flags,
    sandbox_options,
)
from llmbench.importers import FORMATS

REPEAT = 10
MUTANTS = 50

DESCRIPTION = """\
Lists, shows, writes, checks and imports the problems that models are asked."""

EPILOG = """\
your first problem:
  llmbench problems new my-problem --lang L          writes my-problem.yaml, which holds already
  llmbench problems check --problems my-problem.yaml proves it, also after each of your changes"""


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What `list` shows."""

    problems: ProblemOptions


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """The problem that `show` shows, and whether with its tests and answers."""

    id: str
    problems: ProblemOptions
    everything: bool


@dataclass(frozen=True, slots=True)
class NewOptions:
    """The problem that `new` writes, and where."""

    id: str
    lang: str
    out: Path


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What `check` proves, where, and how often it runs each reference.

    `mutants` bounds those of each reference (0: none), and `seed` chooses them.
    """

    problems: ProblemOptions
    sandbox: SandboxOptions
    repeat: int
    mutants: int
    seed: int


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What `import` reads, in which format, and the file it writes."""

    format: str
    source: Path
    out: Path


Options = ListOptions | ShowOptions | NewOptions | CheckOptions | ImportOptions


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    given = parser().parse_args(argv)
    match given.action:
        case "list":
            return ListOptions(problem_options(given))
        case "show":
            return ShowOptions(given.id, problem_options(given), given.everything)
        case "new":
            return NewOptions(given.id, given.lang, given.out or Path(f"{given.id}.yaml"))
        case "import":
            return ImportOptions(given.format, given.source, given.out)
        case _:
            return CheckOptions(
                problem_options(given),
                sandbox_options(given),
                given.repeat,
                given.mutants if given.mutate else 0,
                given.seed,
            )


def parser() -> argparse.ArgumentParser:
    """The actions and their flags."""
    made = Parser(
        prog="llmbench problems",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="one line per problem")
    problem_flags(listed)
    _show_flags(actions.add_parser("show", help="what a model is asked"))
    _new_flags(actions.add_parser("new", help="write a problem to begin with"))
    check = actions.add_parser("check", help="prove that problems hold, in the sandbox")
    _check_flags(check)
    reads = "\n".join(f"  {name:13}{what}" for name, what in FORMATS.items())
    imported = actions.add_parser(
        "import",
        help="convert another collection's problems from a local copy",
        epilog=f"formats:\n{reads}",
    )
    _import_flags(imported)
    return made


def _import_flags(made: argparse.ArgumentParser) -> None:
    formats = ", ".join(FORMATS)
    made.add_argument("format", choices=FORMATS, metavar="FORMAT", help=f"one of {formats}")
    made.add_argument("source", type=Path, metavar="SOURCE", help="the local copy: folder or file")
    made.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="problem file to write"
    )


def _show_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("id", metavar="ID", help="id of the problem")
    problem_flags(made)
    made.add_argument(
        "--everything",
        action="store_true",
        help="with tests, reference and wrong answers (default: what a model sees)",
    )


def _new_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("id", metavar="ID", help="id of the new problem")
    made.add_argument("--lang", required=True, metavar="L", help="its language")
    made.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="problem file to write, or to add to (default: ID.yaml)",
    )


def _check_flags(made: argparse.ArgumentParser) -> None:
    problem_flags(made)
    sandbox_flags(made)
    made.add_argument(
        "--repeat",
        type=positive_int(1),
        default=REPEAT,
        metavar="N",
        help="times each reference must pass (default: %(default)s)",
    )
    made.add_argument(
        "--mutate",
        action="store_true",
        help="also put one small mistake at a time into each reference, and report which the tests "
        "miss (default: no)",
    )
    made.add_argument(
        "--mutants",
        type=positive_int(1),
        default=MUTANTS,
        metavar="N",
        help="most mistakes tried per reference, chosen by --seed (default: %(default)s)",
    )
    made.add_argument(
        "--seed",
        type=positive_int(0),
        default=1,
        metavar="N",
        help="chooses the mistakes (default: %(default)s)",
    )
