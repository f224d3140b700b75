"""`llmbench completion`: the script that completes commands and options in a shell."""

import sys

from argcomplete.shell_integration import shellcode

from llmbench.cli.options.completion import CompletionOptions


def main(options: CompletionOptions) -> int:
    """Print the script and return the exit code."""
    sys.stdout.write(shellcode(["llmbench"], shell=options.shell))
    return 0
