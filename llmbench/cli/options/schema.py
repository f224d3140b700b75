"""Options of `llmbench schema`."""

from attrs import field, frozen

from llmbench.cli.command import Command
from llmbench.cli.options import FORMATS
from llmbench.options import Options, option


@frozen(kw_only=True, slots=False)
class SchemaOptions(Options):
    """The form of the output."""

    format: str = field(default="text", metadata=option("output format", choices=FORMATS))


COMMAND = Command(
    "llmbench schema",
    "Show name, type, unit and meaning of each column of a result file.",
    SchemaOptions,
)
