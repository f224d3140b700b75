"""The options of a run, in parts: each is declared once, for command line, Python and YAML files.

A function takes the part that it uses; `RunOptions` is all parts together.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from attrs import field, frozen

from llmbench.models.providers import load_runner_paths
from llmbench.options import (
    Options,
    comma_list,
    distinct_paths,
    number,
    option,
    path,
    whole_number,
)
from llmbench.plan import (
    TEST_TIMEOUT_SECONDS,
    bundled_dir,
)
from llmbench.runs.request_options import ConfigOptions, RequestOptions
from llmbench.sandboxes.base import SandboxSpec
from llmbench.sandboxes.kinds import SANDBOX_KINDS

LATEST = "latest"
"""Value of `resume` for the latest run."""

_SECONDS = number(0.1, 86400)


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
        converter=distinct_paths,
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
class RunnerOptions(ConfigOptions):
    """The languages."""

    TITLE: ClassVar[str] = "languages"

    runners: tuple[Path, ...] = field(
        default=(),
        converter=distinct_paths,
        metadata=option(
            "folder of a language of your own, or of several; repeatable",
            "PATH",
            default="those of --config, if it names any",
        ),
    )

    @property
    def runner_paths(self) -> Sequence[Path]:
        """The folders of languages beside the bundled ones.

        Raises:
            UsageError: the file of --config cannot be read, or is wrong.
        """
        return self.runners or load_runner_paths(self.config)


@frozen(kw_only=True, slots=False)
class SandboxOptions(Options):
    """The sandbox that runs the tests."""

    TITLE: ClassVar[str] = "sandbox"

    sandbox: str = field(
        default="auto",
        metadata=option(
            "; ".join(f"{name}: {kind.help}" for name, kind in SANDBOX_KINDS.items()),
            choices=tuple(SANDBOX_KINDS),
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
            check=whole_number(1, 10_000),
            former=["--sandboxes"],
        ),
    )
    test_timeout: float = field(
        default=TEST_TIMEOUT_SECONDS,
        metadata=option(
            "longest test run in seconds of processor time, in any sandbox; by the clock it may "
            "take three times as long",
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

    build: bool = field(
        default=True,
        metadata=option(
            "build the images that the engine lacks, once, by its command line",
            default="yes",
            negatable=True,
        ),
    )

    @property
    def spec(self) -> SandboxSpec:
        """The sandbox that is wanted."""
        return SandboxSpec(
            self.sandbox,
            self.reuse_containers,
            self.docker_runtime,
            self.dask_scheduler,
            not self.build,
        )

    @property
    def sandbox_slots(self) -> int:
        """The largest number of test runs at once."""
        if self.max_sandboxes is not None:
            return self.max_sandboxes
        return SANDBOX_KINDS[self.sandbox].max_sandboxes or available_cores()


@frozen(kw_only=True, slots=False)
class OutputOptions(Options):
    """The output of a run."""

    TITLE: ClassVar[str] = "output"

    out: tuple[Path, ...] = field(
        default=(),
        converter=distinct_paths,
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
class RunOptions(RequestOptions, ProblemOptions, RunnerOptions, SandboxOptions, OutputOptions):
    """All options of a run."""

    TITLE: ClassVar[str] = "earlier runs"

    dry_run: bool = field(
        default=False,
        metadata=option(
            "print what the run would ask, take and cost, and ask no model",
            default="run",
        ),
    )
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
class GradeOptions(ProblemOptions, RunnerOptions, SandboxOptions, OutputOptions):
    """All options of grading answers from a file."""

    TITLE: ClassVar[str] = "answers"

    answers: Path = field(
        converter=path,
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
