"""`llmbench schema`: the columns of a result file, with type, unit and meaning."""

from llmbench.cli.options.schema import SchemaOptions
from llmbench.reports import schema
from llmbench.reports.console import Console
from llmbench.reports.render import render


def main(options: SchemaOptions) -> int:
    """Show the columns and return the exit code."""
    Console(quiet=False).print_tables(render(schema.document(), options.format))
    return 0
