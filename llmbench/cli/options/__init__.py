"""Flags that several commands share, and how their values are read.

Each command has its flags in a file of its name here, and what it does in `llmbench/cli/`: what
reads flags must load nothing slow.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from llmbench import plan
from llmbench.errors import UsageError
from llmbench.reports import render
from llmbench.sandboxes.base import SandboxSpec

SANDBOXES = ("auto", "docker", "bubblewrap", "dask")
CLUSTER_SLOTS = 1000
"""Most test runs that are handed to a cluster at once; the threads of its workers bound them."""

FORMATS = tuple(render.FORMATS)


class Parser(argparse.ArgumentParser):
    """Reads the flags of a command; what is wrong with them is one line."""

    def __init__(self, **more: Any) -> None:
        layout = argparse.RawDescriptionHelpFormatter
        super().__init__(formatter_class=layout, allow_abbrev=False, **more)

    def error(self, message: str) -> NoReturn:
        """Leave by an error of ours.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; see {self.prog} --help")


@dataclass(frozen=True, slots=True)
class ProblemOptions:
    """Which problems: files or folders, languages, globs of ids; empty means all."""

    paths: tuple[Path, ...]
    langs: tuple[str, ...]
    only: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Where tests run, how many at once, and their longest time in seconds."""

    choice: SandboxSpec
    slots: int
    timeout: float


def problem_flags(group: argparse._ActionsContainer) -> None:
    """Add --problems, --langs and --only."""
    group.add_argument(
        "--langs",
        type=comma_list,
        action="append",
        default=[],
        metavar="L,L",
        help="only problems of these languages (default: all)",
    )
    group.add_argument(
        "--problems",
        type=Path,
        action="append",
        metavar="PATH",
        help="problem file or folder of them; repeatable (default: those shipped)",
    )
    group.add_argument(
        "--only",
        type=comma_list,
        action="append",
        default=[],
        metavar="GLOB,GLOB",
        help="only problems whose id matches (default: all)",
    )


def problem_options(given: argparse.Namespace) -> ProblemOptions:
    """What `problem_flags` read."""
    return ProblemOptions(
        paths=tuple(given.problems or [plan.bundled_dir("problems")]),
        langs=tuple(dict.fromkeys(name for group in given.langs for name in group)),
        only=tuple(glob for group in given.only for glob in group),
    )


def available_cores() -> int:
    """The processor cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return allowed or 1


def sandbox_flags(group: argparse._ActionsContainer) -> None:
    """Add the flags of the sandbox."""
    group.add_argument(
        "--sandbox",
        choices=SANDBOXES,
        default="auto",
        help="auto is Docker or Podman if an engine answers, else bubblewrap; dask is whatever "
        "the workers of a cluster have (default: auto)",
    )
    group.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="scheduler of the cluster for --sandbox dask, for example tcp://scheduler:8786",
    )
    group.add_argument(
        "--sandboxes",
        type=positive_int(1),
        metavar="N",
        help="test runs at once (default: cores; of a cluster, the threads of its workers)",
    )
    group.add_argument(
        "--docker-timeout",
        type=float_range(0.1, 86400),
        default=plan.TEST_TIMEOUT_SECONDS,
        metavar="S",
        help="longest test run in seconds by the clock, in any sandbox (default: %(default)g)",
    )
    group.add_argument(
        "--warm",
        action="store_true",
        help="containers that serve many test runs, one after another, each as a user of its own: "
        "several times as fast (default: a fresh container for each)",
    )
    group.add_argument(
        "--docker-runtime",
        metavar="NAME",
        help="OCI runtime of the containers, as the engine knows it, for example runsc "
        "(default: the engine's)",
    )


def sandbox_options(given: argparse.Namespace) -> SandboxOptions:
    """What `sandbox_flags` read."""
    choice = SandboxSpec(given.sandbox, given.warm, given.docker_runtime, given.dask)
    usual = CLUSTER_SLOTS if choice.kind == "dask" else available_cores()
    return SandboxOptions(choice, given.sandboxes or usual, given.docker_timeout)


def output_flags(group: argparse._ArgumentGroup) -> None:
    """Add --out and --quiet."""
    group.add_argument(
        "--out",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="result table, .csv or .parquet; repeatable (default: results.csv in the work folder)",
    )
    group.add_argument(
        "--quiet", action="store_true", help="no progress and no summary (default: both)"
    )


def format_flag(group: argparse._ActionsContainer, formats: Sequence[str]) -> None:
    """Add --format."""
    group.add_argument(
        "--format", choices=formats, default="text", help="what is written (default: text)"
    )


def positive_int(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` up."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} up")
        return value

    return read


def float_range(least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers from `least` to `most`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return read


def comma_list(text: str) -> list[str]:
    """The words between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]
