"""Options of `llmbench problems`, an action each."""

from pathlib import Path

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.importers import FORMATS
from llmbench.options import option, optional_path, paths, whole_number
from llmbench.plan import bundled_dir
from llmbench.runs.options import ProblemOptions, RunnerOptions, SandboxOptions

DESCRIPTION = """\
List, show, write, check and import the problems that models are asked."""

EPILOG = """\
your first problem:
  llmbench problems new my-problem --lang L            writes my-problem.yaml, a valid problem
  llmbench problems check --problems my-problem.yaml   checks it, also after each of your changes"""


@frozen(kw_only=True, slots=False)
class ListOptions(ProblemOptions, RunnerOptions):
    """The problems to list, and results of them."""

    results: tuple[Path, ...] = field(
        default=(),
        converter=paths,
        metadata=option(
            "result file, or folder of them, that tells how often each problem is solved and how "
            "well it tells targets apart; repeatable",
            "FILE",
            default="none",
        ),
    )


@frozen(kw_only=True, slots=False)
class ShowOptions(ProblemOptions, RunnerOptions):
    """The problem to show."""

    id: str = field(metadata=option("id of the problem", "ID", positional=True))
    full: bool = field(
        default=False,
        metadata=option(
            "with tests, reference and wrong answers",
            default="only what a model sees",
            former=["--everything"],
        ),
    )


@frozen(kw_only=True, slots=False)
class NewOptions(RunnerOptions):
    """The problem to write."""

    id: str = field(metadata=option("id of the new problem", "ID", positional=True))
    lang: str = field(metadata=option("its language", "L"))
    out: Path | None = field(
        default=None,
        converter=optional_path,
        metadata=option(
            "problem file to write, or to add to", "FILE", default="ID.yaml", short="-o"
        ),
    )

    @property
    def path(self) -> Path:
        """The file to write."""
        return self.out or Path(f"{self.id}.yaml")


@frozen(kw_only=True, slots=False)
class CheckOptions(ProblemOptions, RunnerOptions, SandboxOptions):
    """The problems to check, and how thoroughly."""

    repeat: int = field(
        default=10,
        metadata=option("times each reference must pass", "N", check=whole_number(1, 1_000_000)),
    )
    mutate: bool = field(
        default=False,
        metadata=option(
            "also put one small mistake at a time into each reference, and report which mistakes "
            "the tests miss",
            default="no",
        ),
    )
    mutants: int = field(
        default=50,
        metadata=option(
            "at most N mistakes per reference, chosen by --mutation-seed",
            "N",
            check=whole_number(1, 1_000_000),
        ),
    )
    mutation_seed: int = field(
        default=1,
        metadata=option(
            "seed that chooses the mistakes", "N", check=whole_number(0), former=["--seed"]
        ),
    )

    @property
    def only_shipped(self) -> bool:
        """True if all problems to check are those that llmbench brings."""
        shipped = bundled_dir("problems").resolve()
        return all(path.resolve().is_relative_to(shipped) for path in self.problem_paths)


@frozen(kw_only=True, slots=False)
class ImportOptions(RunnerOptions, SandboxOptions):
    """The collection to import, the file to write, and where its references run."""

    format: str = field(
        metadata=option(f"one of {', '.join(FORMATS)}", choices=tuple(FORMATS), positional=True)
    )
    source: Path = field(
        converter=Path,
        metadata=option("the local copy: folder or file", "SOURCE", positional=True),
    )
    out: Path = field(converter=Path, metadata=option("problem file to write", "FILE", short="-o"))


_FORMATS = "\n".join(f"  {name:13}{content}" for name, content in FORMATS.items())

COMMAND = Command(
    "llmbench problems",
    DESCRIPTION,
    epilog=EPILOG,
    actions={
        "list": Command("llmbench problems list", "list problems, a line each", ListOptions),
        "show": Command("llmbench problems show", "show what a model is asked", ShowOptions),
        "new": Command("llmbench problems new", "write a problem to begin with", NewOptions),
        "check": Command("llmbench problems check", "check problems in the sandbox", CheckOptions),
        "import": Command(
            "llmbench problems import",
            "convert another collection's problems from a local copy",
            ImportOptions,
            f"formats:\n{_FORMATS}",
        ),
    },
)
