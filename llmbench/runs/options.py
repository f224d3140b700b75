"""The options of a run, in parts: each is declared once, for command line, Python and YAML files.

A function takes the part that it uses; `RunOptions` is all parts together.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from attrs import field, frozen

from llmbench.models.presets import PROVIDERS
from llmbench.options import (
    Options,
    comma_list,
    number,
    option,
    optional_path,
    paths,
    strings,
    whole_number,
)
from llmbench.plan import (
    MAX_TOKENS,
    RUNS,
    TEST_TIMEOUT_SECONDS,
    RequestTimeouts,
    bundled_dir,
)
from llmbench.sandboxes.base import SandboxSpec

SANDBOXES = ("auto", "docker", "bubblewrap", "dask")  # until the table is there

CLUSTER_SANDBOXES = 1000
"""Test runs handed to a cluster at once; the threads of its workers are the real limit."""

LATEST = "latest"
"""Value of `resume` for the latest run."""

_SECONDS = number(0.1, 86400)
_TIMEOUTS = RequestTimeouts()


@frozen(kw_only=True, slots=False)
class ModelOptions(Options):
    """Models and the requests to them."""

    TITLE: ClassVar[str] = "models and requests"

    provider: str = field(
        default="lmstudio",
        metadata=option(
            f"one of {', '.join(PROVIDERS)}, or one of --config", "NAME", everyday=True
        ),
    )
    model: tuple[str, ...] = field(
        default=(),
        converter=strings,
        metadata=option(
            "model to ask; repeatable",
            "ID",
            default="the only one that the server offers",
            everyday=True,
        ),
    )
    base_url: str | None = field(
        default=None,
        metadata=option("address of the server", "URL", default="the provider's", everyday=True),
    )
    target: tuple[str, ...] = field(
        default=(),
        converter=strings,
        metadata=option(
            "model of any provider, as in the column target; repeatable, with or without --model",
            "PROVIDER/MODEL",
            default="none",
        ),
    )
    config: Path | None = field(
        default=None,
        converter=optional_path,
        metadata=option(
            "YAML file with more providers", "FILE", default="llmbench.yaml, if there is one"
        ),
    )
    runs: int = field(
        default=RUNS,
        metadata=option("times each problem is asked", "N", check=whole_number(1), everyday=True),
    )
    max_repairs: int = field(
        default=0,
        metadata=option(
            "ask again up to N times when tests fail, and show the model the test log",
            "N",
            check=whole_number(0),
            former=["--repair"],
        ),
    )
    concurrency: int | None = field(
        default=None,
        metadata=option(
            "at most N answers stream at once from a server",
            "N",
            default="the provider's, 1 to 16",
            check=whole_number(1),
            everyday=True,
        ),
    )
    rpm: float | None = field(
        default=None,
        metadata=option(
            "at most N requests per minute to a server",
            "N",
            default="no limit",
            check=number(0.01, 1e6),
        ),
    )
    tpm: float | None = field(
        default=None,
        metadata=option(
            "at most N tokens per minute of a server, prompts included",
            "N",
            default="no limit",
            check=number(1, 1e9),
        ),
    )
    warm_up: bool = field(
        default=True,
        metadata=option("load a local model before timing", default="yes", negatable=True),
    )
    max_tokens: int = field(
        default=MAX_TOKENS,
        metadata=option(
            "longest answer in tokens, reasoning included",
            "N",
            check=whole_number(1),
            everyday=True,
        ),
    )
    temperature: float | None = field(
        default=None,
        metadata=option(
            "sampling temperature",
            "T",
            default="the server's",
            check=number(0, 2),
            everyday=True,
        ),
    )
    seed: int | None = field(
        default=None,
        metadata=option(
            "sampling seed of run 1; run n sends N + n - 1",
            "N",
            default="none",
            check=whole_number(0),
        ),
    )


@frozen(kw_only=True, slots=False)
class CostOptions(Options):
    """Prices, and the most that a run may cost."""

    TITLE: ClassVar[str] = "cost"

    prices: Path | None = field(
        default=None,
        converter=optional_path,
        metadata=option(
            "YAML or JSON file, model: {prompt: USD, completion: USD, cached: USD} per million "
            "tokens",
            "FILE",
            default="prices that the server reports",
        ),
    )
    max_cost: float | None = field(
        default=None,
        metadata=option(
            "send no request once the run has cost USD; requests under way are still paid",
            "USD",
            default="no limit",
            check=number(1e-6, 1e9),
        ),
    )


@frozen(kw_only=True, slots=False)
class TimeoutOptions(Options):
    """The longest waits for an answer, in seconds."""

    TITLE: ClassVar[str] = "longest waits for an answer, in seconds"

    connect_timeout: float = field(
        default=_TIMEOUTS.connect,
        metadata=option("for a connection", "S", check=_SECONDS),
    )
    first_token_timeout: float = field(
        default=_TIMEOUTS.first_token,
        metadata=option("from the request to the first token", "S", check=_SECONDS),
    )
    token_timeout: float = field(
        default=_TIMEOUTS.between_tokens,
        metadata=option("from one token to the next", "S", check=_SECONDS),
    )
    answer_timeout: float = field(
        default=_TIMEOUTS.answer,
        metadata=option("for the whole answer", "S", check=_SECONDS),
    )

    @property
    def timeouts(self) -> RequestTimeouts:
        """The waits as one value."""
        return RequestTimeouts(
            connect=self.connect_timeout,
            first_token=self.first_token_timeout,
            between_tokens=self.token_timeout,
            answer=self.answer_timeout,
        )


@frozen(kw_only=True, slots=False)
class RequestOptions(ModelOptions, CostOptions, TimeoutOptions):
    """Everything about requests: models, cost and waits."""


@frozen(kw_only=True, slots=False)
class ProblemOptions(Options):
    """The problems to solve."""

    TITLE: ClassVar[str] = "problems"

    langs: tuple[str, ...] = field(
        default=(),
        converter=comma_list,
        metadata=option("only problems of these languages", "L,L", default="all", everyday=True),
    )
    problems: tuple[Path, ...] = field(
        default=(),
        converter=paths,
        metadata=option(
            "problem file or folder of them; repeatable",
            "PATH",
            default="the bundled problems",
            everyday=True,
        ),
    )
    only: tuple[str, ...] = field(
        default=(),
        converter=comma_list,
        metadata=option(
            "only problems whose id matches", "GLOB,GLOB", default="all", everyday=True
        ),
    )

    @property
    def problem_paths(self) -> Sequence[Path]:
        """The problem files and folders to read."""
        return self.problems or (bundled_dir("problems"),)


@frozen(kw_only=True, slots=False)
class SandboxOptions(Options):
    """The sandbox that runs the tests."""

    TITLE: ClassVar[str] = "sandbox"

    sandbox: str = field(
        default="auto",
        metadata=option(
            "auto is Docker or Podman if an engine answers, else bubblewrap; dask is the sandbox "
            "that each worker of a cluster has",
            choices=tuple(SANDBOXES),
            everyday=True,
        ),
    )
    dask_scheduler: str | None = field(
        default=None,
        metadata=option(
            "scheduler of the cluster for --sandbox dask, for example tcp://scheduler:8786",
            "ADDRESS",
            former=["--dask"],
        ),
    )
    max_sandboxes: int | None = field(
        default=None,
        metadata=option(
            "at most N test runs at once",
            "N",
            default="cores; of a cluster, the threads of its workers",
            check=whole_number(1),
            former=["--sandboxes"],
        ),
    )
    test_timeout: float = field(
        default=TEST_TIMEOUT_SECONDS,
        metadata=option(
            "longest test run in seconds by the clock, in any sandbox",
            "S",
            check=_SECONDS,
            former=["--docker-timeout"],
        ),
    )
    reuse_containers: bool = field(
        default=False,
        metadata=option(
            "containers serve many test runs, one after another, each as a user of its own: "
            "several times as fast",
            default="a fresh container for each test run",
            negatable=True,
            former=["--warm"],
        ),
    )
    docker_runtime: str | None = field(
        default=None,
        metadata=option(
            "OCI runtime of the containers, as the engine knows it, for example runsc",
            "NAME",
            default="the engine's",
        ),
    )

    @property
    def spec(self) -> SandboxSpec:
        """The sandbox that is wanted."""
        return SandboxSpec(
            self.sandbox, self.reuse_containers, self.docker_runtime, self.dask_scheduler
        )

    @property
    def sandbox_slots(self) -> int:
        """The largest number of test runs at once."""
        if self.max_sandboxes is not None:
            return self.max_sandboxes
        return CLUSTER_SANDBOXES if self.dask_scheduler else available_cores()


@frozen(kw_only=True, slots=False)
class OutputOptions(Options):
    """The output of a run."""

    TITLE: ClassVar[str] = "output"

    out: tuple[Path, ...] = field(
        default=(),
        converter=paths,
        metadata=option(
            "result table, .csv or .parquet; repeatable",
            "FILE",
            default="results.csv in the work folder",
            short="-o",
            everyday=True,
        ),
    )
    quiet: bool = field(
        default=False,
        metadata=option(
            "print warnings only, no progress and no summary", short="-q", everyday=True
        ),
    )


@frozen(kw_only=True, slots=False)
class RunOptions(RequestOptions, ProblemOptions, SandboxOptions, OutputOptions):
    """All options of a run."""

    TITLE: ClassVar[str] = "earlier runs"

    cache: bool = field(
        default=False,
        metadata=option(
            "reuse answers of earlier runs to the same target, parameters, prompt and run number",
            default="no",
            negatable=True,
        ),
    )
    resume: str | None = field(
        default=None,
        metadata=option(
            "continue an earlier run with its options; options given now replace them",
            "RUN",
            default="a new run; without RUN: the latest",
            bare=LATEST,
            everyday=True,
        ),
    )


@frozen(kw_only=True, slots=False)
class GradeOptions(ProblemOptions, SandboxOptions, OutputOptions):
    """All options of grading answers from a file."""

    TITLE: ClassVar[str] = "answers"

    answers: Path = field(
        converter=Path,
        metadata=option(
            "file with an answer in each line, - for stdin, or the folder of an earlier run",
            "ANSWERS",
            positional=True,
        ),
    )
    model: str | None = field(
        default=None,
        metadata=option(
            "model of the answers that name none", "NAME", default="the name of the file"
        ),
    )


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return allowed or 1
