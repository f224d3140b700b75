"""The command line: `llmbench COMMAND …`; without a command it is `run`."""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

from llmbench.cli.command import Command, add_version
from llmbench.errors import LlmbenchError, UsageError
from llmbench.options import Parser
from llmbench.reports.channel import Channel, standard_channels
from llmbench.reports.sanitize import escape_controls

logger = logging.getLogger(__name__)

RUN = "run"
COMMANDS = {
    RUN: "ask models, test their answers, write rows; also without its name",
    "grade": "test answers from a file, ask no model",
    "compare": "compare results, and tell differences from chance",
    "show": "show one attempt: prompt, answer, code, log",
    "report": "write one HTML page about results, with every attempt",
    "schema": "show the meaning of each column of a result file",
    "history": "show the trend over a folder of dated results",
    "sweep": "run targets × problem sets, one dated file per target",
    "nightly": "run a sweep, compare it with the accepted night, keep the latest nights",
    "runs": "list and remove the runs in the work folder",
    "models": "list the models that a server offers",
    "doctor": "check this machine, and name what to do",
    "images": "list, build, remove, push and pull the images that tests run in",
    "problems": "list, show, write, check and import problems",
    "completion": "print the script that completes commands in a shell",
}
"""Name and summary of each command: its options are in `options/`, its work is beside this file."""

FAILED = 1
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C.

    SIGTERM and SIGHUP are a Ctrl-C, so that whatever the command started ends with it.
    """
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    if argv is None:
        for name in ("SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                _take_as_interrupt(getattr(signal, name))
    with standard_channels() as (out, err):
        code = _run(list(sys.argv[1:] if argv is None else argv))
        code = _finish_output(out, err, code)
    if argv is None:
        # The work is done: no signal may change the exit code from here on.
        for name in ("SIGINT", "SIGHUP", "SIGTERM"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        out.discard()
        err.discard()
    return code


def load_command(name: str) -> Command:
    """Import the options of a command, which loads nothing slow."""
    command: Command = import_module(f"{__name__}.options.{name}").COMMAND
    return command


def overview() -> Parser:
    """Make the parser whose help lists the commands and the everyday options of `run`."""
    command = load_command(RUN)
    commands = "\n".join(f"  {name:12}{summary}" for name, summary in COMMANDS.items())
    parser = Parser(
        prog="llmbench",
        usage="llmbench [COMMAND] [OPTIONS]",
        description=f"{command.description}\n\ncommands, each with its own --help:\n{commands}",
        epilog=f"All options of a run: llmbench run --help\n\n{command.epilog}",
    )
    command.fill(parser, everyday=True)
    add_version(parser)
    return parser


def _run(words: list[str]) -> int:
    name = words.pop(0) if words and not words[0].startswith("-") else ""
    try:
        if name and name not in COMMANDS:
            raise UsageError(f"no command {name!r}; there are: {', '.join(COMMANDS)}; see --help")
        if not name and {"-h", "--help", "--version"} & set(words):
            overview().parse_args(words)
        options = load_command(name or RUN).parse(words)
        # Only now: commands import what is slow to load; --help and wrong usage must not wait.
        code: int = import_module(f"{__name__}.{name or RUN}").main(options)
    except LlmbenchError as error:
        _print_error(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as done:  # of --help and --version
        return int(done.code or 0)
    except Exception as error:
        logger.info("an unexpected error", exc_info=True)
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        _print_error(f"a fault of llmbench: {reason}: please report it; -v shows where it is")
        return FAILED
    return code


def _take_as_interrupt(number: signal.Signals) -> None:
    """Take a signal as a Ctrl-C; one that is ignored, as a hangup under nohup, stays ignored."""
    if signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, signal.default_int_handler)


def _print_error(text: str) -> None:
    for line in text.splitlines():
        sys.stderr.write(f"llmbench: {escape_controls(line)}\n")


def _finish_output(out: Channel, err: Channel, code: int) -> int:
    """Flush both channels; returns 1 in place of 0 if the results could not be printed.

    A reader that has gone away has read what it wanted.
    """
    out.flush()
    if out.error is not None and not isinstance(out.error, BrokenPipeError):
        reason = getattr(out.error, "strerror", None) or out.error
        _print_error(f"the standard output cannot be written: {reason}")
        code = code or FAILED
    err.flush()
    return code


def _complete() -> None:
    """Answer a shell that completes a command line, and exit."""
    import argcomplete

    parser = overview()
    subparsers = parser.add_subparsers()
    for name, summary in COMMANDS.items():
        load_command(name).fill(subparsers.add_parser(name, help=summary))
    argcomplete.autocomplete(parser)
