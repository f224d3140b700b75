"""Flags of `llmbench run`, their defaults and their help."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmbench import plan
from llmbench._version import __version__
from llmbench.cli import COMMANDS
from llmbench.cli.options import (
    Parser,
    ProblemOptions,
    SandboxOptions,
    float_range,
    output_flags,
    positive_int,
    problem_flags,
    problem_options,
    sandbox_flags,
    sandbox_options,
)
from llmbench.models.providers import PROVIDERS
from llmbench.plan import RequestTimeouts

DESCRIPTION = """\
Asks models to solve the same coding problems, runs the same tests on each answer in a container,
repeats, and writes one row per problem and run."""

COMMAND_LIST = "\n".join(f"  {name:10}{does}" for name, does in COMMANDS.items())

EPILOG = f"""\
commands, each with its own --help:
{COMMAND_LIST}

Keys come from the environment: OPENROUTER_API_KEY, OPENAI_API_KEY, ANTHROPIC_API_KEY, … never
from a flag.

examples:
  llmbench --provider demo                            no model, no key: see how it works
  llmbench --concurrency 8                            LM Studio, the model it has loaded
  llmbench --provider openrouter --model anthropic/claude-3.5-sonnet --out results.parquet"""


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of a run, checked one by one but not yet against each other.

    `words` are those given now, `commands` those of each part of a resumed run; `sweep_step` names
    what larger thing the run is a part of.
    """

    provider: str
    models: tuple[str, ...]
    targets: tuple[str, ...]
    config: Path | None
    warm_up: bool
    rpm: float | None
    tpm: float | None
    base_url: str | None
    runs: int
    repair: int
    problems: ProblemOptions
    concurrency: int | None
    sandbox: SandboxOptions
    max_tokens: int
    temperature: float | None
    seed: int | None
    limits: RequestTimeouts
    prices: Path | None
    max_cost: float | None
    out: tuple[Path, ...]
    quiet: bool
    cache: bool
    resume: str | None
    words: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]
    sweep_step: str | None = None


def parse(argv: Sequence[str]) -> Options:
    """Read the flags; leaves with exit code 0 on --help and --version.

    Raises:
        UsageError: a flag is unknown, missing or wrong.
    """
    return _options(parser().parse_args(argv), [list(argv)])


def merge(commands: Sequence[Sequence[str]]) -> Options:
    """Read several sets of flags: what a later one gives takes the place of an earlier one's.

    Raises:
        UsageError: a flag is unknown, or its value is wrong.
    """
    given = parser().parse_args(commands[0])
    for words in commands[1:]:
        later = parser()
        for action in later._actions:
            action.default = argparse.SUPPRESS
        given = argparse.Namespace(**vars(given) | vars(later.parse_args(words)))
    return _options(given, commands)


def _options(given: argparse.Namespace, commands: Sequence[Sequence[str]]) -> Options:
    return Options(
        provider=given.provider,
        models=tuple(dict.fromkeys(given.model)),
        targets=tuple(dict.fromkeys(given.target)),
        config=given.config,
        warm_up=not given.no_warm_up,
        rpm=given.rpm,
        tpm=given.tpm,
        base_url=given.base_url,
        runs=given.runs,
        repair=given.repair,
        problems=problem_options(given),
        concurrency=given.concurrency,
        sandbox=sandbox_options(given),
        max_tokens=given.max_tokens,
        temperature=given.temperature,
        seed=given.seed,
        prices=given.prices,
        max_cost=given.max_cost,
        limits=RequestTimeouts(
            connect=given.connect_timeout,
            first_token=given.first_token_timeout,
            between_tokens=given.token_timeout,
            answer=given.answer_timeout,
        ),
        out=tuple(dict.fromkeys(given.out)),
        quiet=given.quiet,
        cache=given.cache,
        resume=given.resume,
        words=tuple(commands[-1]),
        commands=tuple(map(tuple, commands)),
    )


def from_flags(flags: Mapping[str, Any]) -> Options:
    """The flags by name, as `max_tokens`, read and checked as those of the command line are.

    Raises:
        UsageError: a flag is unknown, or its value is wrong.
    """
    words = []
    for name, value in flags.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [flag] * value
        elif isinstance(value, (list, tuple)):
            words += [f"{flag}={each}" for each in value]
        elif value is not None:
            words.append(f"{flag}={value}")
    return parse(words)


def parser() -> argparse.ArgumentParser:
    """The flags of a run."""
    made = Parser(
        prog="llmbench",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    _model_flags(made.add_argument_group("what is asked"))
    _cost_flags(made.add_argument_group("what it may cost"))
    _time_flags(made.add_argument_group("how long an answer is waited for"))
    problem_flags(made.add_argument_group("which problems"))
    sandbox_flags(made.add_argument_group("where tests run"))
    output_flags(made.add_argument_group("what is written"))
    made.add_argument(
        "--cache",
        action="store_true",
        help="reuse answers of earlier runs to the same target, parameters, prompt and run number "
        "(default: ask anew)",
    )
    made.add_argument(
        "--resume",
        nargs="?",
        const="latest",
        metavar="RUN",
        help="go on with an earlier run and its flags; those given now replace them "
        "(default: a new run; without RUN: the latest)",
    )
    made.add_argument("--version", action="version", version=f"llmbench {__version__}")
    return made


def _model_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--provider",
        default="lmstudio",
        metavar="NAME",
        help=f"one of {', '.join(PROVIDERS)}, or one of --config (default: lmstudio)",
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
        "--target",
        action="append",
        default=[],
        metavar="PROVIDER/MODEL",
        help="model of any provider, as in the column target; repeatable, beside or in the place "
        "of --model",
    )
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML with more providers (default: llmbench.yaml, if there is one)",
    )
    group.add_argument(
        "--runs",
        type=positive_int(1),
        default=plan.RUNS,
        metavar="N",
        help="times each problem is asked (default: %(default)s)",
    )
    group.add_argument(
        "--repair",
        type=positive_int(0),
        default=0,
        metavar="N",
        help="most times that an answer which does not pass is asked for again, with the log of "
        "its tests (default: %(default)s)",
    )
    group.add_argument(
        "--concurrency",
        type=positive_int(1),
        metavar="N",
        help="most answers that stream at once from a server (default: the provider's, 1 to 16)",
    )
    group.add_argument(
        "--rpm",
        type=float_range(0.01, 1e6),
        metavar="N",
        help="most requests to a server per minute (default: no limit)",
    )
    group.add_argument(
        "--tpm",
        type=float_range(1, 1e9),
        metavar="N",
        help="most tokens of a server per minute, prompts included (default: no limit)",
    )
    group.add_argument(
        "--no-warm-up",
        action="store_true",
        help="time the first answer of a local model with its loading (default: load it before)",
    )
    group.add_argument(
        "--max-tokens",
        type=positive_int(1),
        default=plan.MAX_TOKENS,
        metavar="N",
        help="longest answer, reasoning included (default: %(default)s)",
    )
    group.add_argument(
        "--temperature",
        type=float_range(0, 2),
        metavar="T",
        help="sampling temperature (default: the server's)",
    )
    group.add_argument(
        "--seed",
        type=positive_int(0),
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
        type=float_range(1e-6, 1e9),
        metavar="USD",
        help="ask nothing more once the run has cost so much; what is in flight then is still paid "
        "(default: no limit)",
    )


def _time_flags(group: argparse._ArgumentGroup) -> None:
    default = RequestTimeouts()
    for flag, seconds, meaning in (
        ("--connect-timeout", default.connect, "longest wait for a connection"),
        ("--first-token-timeout", default.first_token, "longest wait from request to first token"),
        ("--token-timeout", default.between_tokens, "longest wait from one token to the next"),
        ("--answer-timeout", default.answer, "longest time for a whole answer"),
    ):
        group.add_argument(
            flag,
            type=float_range(0.1, 86400),
            default=seconds,
            metavar="S",
            help=f"{meaning}, in seconds (default: %(default)g)",
        )
