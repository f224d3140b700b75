"""`llmbench schema`: what the columns of a result file mean."""

import sys

from llmbench.cli.options.schema import SchemaOptions
from llmbench.reports import schema
from llmbench.reports.console import Console


def main(options: SchemaOptions) -> int:
    """Show the columns and return the exit code."""
    if options.format == "json":
        sys.stdout.write(schema.as_json())
    elif options.format == "markdown":
        sys.stdout.writelines(f"{line}\n" for line in schema.markdown())
    else:
        Console(quiet=False).print_tables([schema.text()])
    return 0
