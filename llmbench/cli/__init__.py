"""The command line: `llmbench COMMAND …`, where no command means `run`."""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from llmbench.errors import LlmbenchError, UsageError

RUN = "run"
COMMANDS = {
    RUN: "ask models, test their answers, write rows; also without its name",
    "grade": "test answers that are there already, and ask no model",
    "compare": "say what differs between results, and whether chance explains it",
    "show": "show one attempt: prompt, answer, code, log",
    "report": "write one HTML page about results, with every attempt",
    "schema": "tell what each column of a result file means",
    "history": "show the trend over a folder of dated results",
    "sweep": "run targets × problem sets, one dated file per target",
    "models": "list what a server offers, and what of it is loaded",
    "doctor": "say what works on this machine, and what to do about the rest",
    "problems": "list, show, write, check and import problems",
}
"""Command to what it does. Its flags are in `options/`, the command beside this file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C."""
    code = _run(list(sys.argv[1:] if argv is None else argv))
    if argv is None:
        # What is left is the interpreter's own end: it would die of a Ctrl-C, its work done.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def _run(words: list[str]) -> int:
    name = words.pop(0) if words and not words[0].startswith("-") else RUN
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        sys.stderr.write(f"llmbench: no command {name!r}; there are: {known}; see --help\n")
        return UsageError.exit_code
    try:
        options = import_module(f"{__name__}.options.{name}").parse(words)
        # Only now: commands import what is slow to load; --help and wrong usage must not wait.
        code: int = import_module(f"{__name__}.{name}").main(options)
    except LlmbenchError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"llmbench: {line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return code
