"""`llmbench schema`: what the columns of a result file mean."""

from llmbench.cli.options.schema import SchemaOptions
from llmbench.reports import schema
from llmbench.reports.console import Console


def main(options: SchemaOptions) -> int:
    """Show the columns and return the exit code."""
    console = Console(quiet=False)
    if options.format == "json":
        console.write(schema.as_json())
    elif options.format == "markdown":
        console.write("".join(f"{line}\n" for line in schema.markdown()))
    else:
        console.print_tables([schema.text()])
    return 0
