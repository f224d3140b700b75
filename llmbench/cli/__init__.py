"""The command line: `llmbench COMMAND …`, where no command means `run`."""

import sys
from collections.abc import Sequence

from llmbench.cli.options import parse
from llmbench.errors import LlmbenchError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C."""
    options = parse(sys.argv[1:] if argv is None else argv)
    # Commands import what is slow to load; --help and wrong usage must not wait for it.
    from llmbench.cli import run

    try:
        return run.main(options)
    except LlmbenchError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"llmbench: {line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
