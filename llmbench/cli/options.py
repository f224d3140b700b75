"""Flags, their defaults and their help."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmbench import __version__, config
from llmbench.config import TimeLimits
from llmbench.models.presets import PRESETS

SANDBOXES = ("auto", "docker", "bubblewrap")

DESCRIPTION = """\
Asks models to solve the same coding problems, runs the same tests on each answer in a container,
repeats, and writes one row per problem and run."""

EPILOG = """\
Keys come from the environment: OPENROUTER_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY, … never
from a flag.

examples:
  llmbench --provider demo                            no model, no key: see how it works
  llmbench --concurrency 8                            LM Studio, the model it has loaded
  llmbench --provider openrouter --model anthropic/claude-3.5-sonnet --out results.parquet"""


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of a run, checked one by one but not yet against each other."""

    provider: str
    models: tuple[str, ...]
    base_url: str | None
    runs: int
    langs: tuple[str, ...]
    problems: tuple[Path, ...]
    only: tuple[str, ...]
    concurrency: int | None
    sandboxes: int
    sandbox: Literal["auto", "docker", "bubblewrap"]
    docker_timeout: float
    max_tokens: int
    temperature: float | None
    seed: int | None
    limits: TimeLimits
    prices: Path | None
    max_cost: float | None
    out: tuple[Path, ...]
    quiet: bool


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 2 on wrong usage and 0 on --help and --version."""
    given = parser(_cores()).parse_args(argv)
    return Options(
        provider=given.provider,
        models=tuple(dict.fromkeys(given.model)),
        base_url=given.base_url,
        runs=given.runs,
        langs=tuple(dict.fromkeys(name for group in given.langs for name in group)),
        problems=tuple(given.problems or [config.shipped("problems")]),
        only=tuple(glob for group in given.only for glob in group),
        concurrency=given.concurrency,
        sandboxes=given.sandboxes,
        sandbox=given.sandbox,
        docker_timeout=given.docker_timeout,
        max_tokens=given.max_tokens,
        temperature=given.temperature,
        seed=given.seed,
        prices=given.prices,
        max_cost=given.max_cost,
        limits=TimeLimits(
            connect=given.connect_timeout,
            first_token=given.first_token_timeout,
            between_tokens=given.token_timeout,
            answer=given.answer_timeout,
        ),
        out=tuple(dict.fromkeys(given.out)),
        quiet=given.quiet,
    )


def parser(cores: int | None) -> argparse.ArgumentParser:
    """The flags of a run; `cores` is the default of --sandboxes (None: named, not counted)."""
    made = argparse.ArgumentParser(
        prog="llmbench",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _model_flags(made.add_argument_group("what is asked"))
    _cost_flags(made.add_argument_group("what it may cost"))
    _time_flags(made.add_argument_group("how long an answer is waited for"))
    _problem_flags(made.add_argument_group("which problems"))
    _sandbox_flags(made.add_argument_group("where tests run"), cores)
    _output_flags(made.add_argument_group("what is written"))
    made.add_argument("--version", action="version", version=f"llmbench {__version__}")
    return made


def _model_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--provider",
        choices=PRESETS,
        default="lmstudio",
        metavar="NAME",
        help=f"one of {', '.join(PRESETS)} (default: lmstudio)",
    )
    group.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="ID",
        help="model to ask; repeatable (default: the only one that the server offers)",
    )
    group.add_argument(
        "--base-url", metavar="URL", help="address of the server (default: the provider's)"
    )
    group.add_argument(
        "--runs",
        type=_whole(1),
        default=config.RUNS,
        metavar="N",
        help="times each problem is asked (default: %(default)s)",
    )
    group.add_argument(
        "--concurrency",
        type=_whole(1),
        metavar="N",
        help="answers that stream at once (default: the provider's, 1 to 16)",
    )
    group.add_argument(
        "--max-tokens",
        type=_whole(1),
        default=config.MAX_TOKENS,
        metavar="N",
        help="longest answer, reasoning included (default: %(default)s)",
    )
    group.add_argument(
        "--temperature",
        type=_number(0, 2),
        metavar="T",
        help="sampling temperature (default: the server's)",
    )
    group.add_argument(
        "--seed",
        type=_whole(0),
        metavar="N",
        help="sampling seed of run 1; run n sends N + n - 1 (default: none)",
    )


def _cost_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--prices",
        type=Path,
        metavar="FILE",
        help="YAML or JSON, model: {prompt: USD, completion: USD, cached: USD} per million tokens "
        "(default: what the server tells)",
    )
    group.add_argument(
        "--max-cost",
        type=_number(1e-6, 1e9),
        metavar="USD",
        help="ask nothing more once the answers cost so much (default: no limit)",
    )


def _time_flags(group: argparse._ArgumentGroup) -> None:
    default = TimeLimits()
    for flag, seconds, meaning in (
        ("--connect-timeout", default.connect, "longest wait for a connection"),
        ("--first-token-timeout", default.first_token, "longest wait from request to first token"),
        ("--token-timeout", default.between_tokens, "longest wait from one token to the next"),
        ("--answer-timeout", default.answer, "longest time for a whole answer"),
    ):
        group.add_argument(
            flag,
            type=_number(0.1, 86400),
            default=seconds,
            metavar="S",
            help=f"{meaning}, in seconds (default: %(default)g)",
        )


def _problem_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--langs",
        type=_words,
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
        type=_words,
        action="append",
        default=[],
        metavar="GLOB,GLOB",
        help="only problems whose id matches (default: all)",
    )


def _cores() -> int:
    """The processor cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return allowed or 1


def _sandbox_flags(group: argparse._ArgumentGroup, cores: int | None) -> None:
    group.add_argument(
        "--sandbox",
        choices=SANDBOXES,
        default="auto",
        help="auto is Docker or Podman if an engine answers, else bubblewrap (default: auto)",
    )
    group.add_argument(
        "--sandboxes",
        type=_whole(1),
        default=cores,
        metavar="N",
        help="test runs at once (default: cores" + (f", {cores} here)" if cores else ")"),
    )
    group.add_argument(
        "--docker-timeout",
        type=_number(0.1, 86400),
        default=config.TEST_TIMEOUT_SECONDS,
        metavar="S",
        help="longest test run in seconds, in any sandbox (default: %(default)g)",
    )


def _output_flags(group: argparse._ArgumentGroup) -> None:
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


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} up")
        return value

    return read


def _number(least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return read


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
