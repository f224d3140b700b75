"""Options of `llmbench doctor`."""

from attrs import field, frozen

from llmbench.cli.command import Command, with_format
from llmbench.options import option
from llmbench.runs.options import RunnerOptions

DESCRIPTION = """\
Check this machine: the container engine with its limits, runtimes and images, bubblewrap, the
toolchains, caches, local model servers, and the names of the keys that are set (never the keys)."""

EPILOG = """\
Each line is ok, missing or wrong, and names what to do next.

exit codes: 0 some sandbox serves every language, 1 none does, 2 wrong usage"""

FORMATS = ("text", "json")


@frozen(kw_only=True, slots=False)
class DoctorOptions(RunnerOptions):
    """Repairs, and the form of the output."""

    fix: bool = field(
        default=False,
        metadata=option(
            "remove containers of dead runs and stale set-ups", default="only report them"
        ),
    )
    format: str = field(default="text", metadata=option("output format", choices=FORMATS))


COMMAND = Command("llmbench doctor", DESCRIPTION, DoctorOptions, EPILOG, prepare=with_format)
