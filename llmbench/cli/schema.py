"""`llmbench schema`: what the columns of a result file mean."""

import sys

from llmbench.cli.options.schema import Options
from llmbench.cli.screen import Screen
from llmbench.reports import schema


def main(options: Options) -> int:
    """Show the columns and return the exit code."""
    if options.format == "json":
        sys.stdout.write(schema.as_json())
    elif options.format == "markdown":
        sys.stdout.writelines(f"{line}\n" for line in schema.markdown())
    else:
        Screen(quiet=False).tell([schema.text()])
    return 0
