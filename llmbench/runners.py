"""Runner folders to runners: all that is known of a language."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, with_config

from llmbench import yaml_files
from llmbench.errors import RunnerFileError
from llmbench.records import AttemptKey, Problem, Submission

FILE = "runner.yaml"
SCRIPT = "run.sh"
SETUP = "setup.sh"
CHECK = "check.sh"
AUTHORING = "authoring"
"""Folder of what helps to write problems of a language; no sandbox needs it."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """The most that the code of one submission may use; a runner may set other figures.

    Sizes are in MiB. There is never a network, a capability, a new privilege, a writable root or
    an environment variable of ours.
    """

    memory_mb: int = 1024
    cpus: float = 1.0
    pids: int = 256
    work_mb: int = 256
    file_mb: int = 64
    open_files: int = 1024
    log_kb: int = 256
    report_kb: int = 640


ReportFormat = Literal["junit", "gotest"]


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True)
class Option:
    """A field that problems of this language may carry, and the values it takes."""

    values: Annotated[tuple[str, ...], Field(min_length=1)]
    default: str


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """What `runner.yaml` says; runners/README.md tells what each field means."""

    title: Annotated[str, Field(min_length=1)]
    fences: Annotated[tuple[str, ...], Field(min_length=1)]
    solution: Annotated[str, Field(min_length=1)]
    image: Annotated[str, Field(min_length=1)]
    report: ReportFormat
    toolchain: Annotated[Mapping[str, str | None], Field(min_length=1)]
    instructions: str = ""
    code_patterns: tuple[str, ...] = ()
    generated_files: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    limits: Mapping[str, Annotated[float, Field(gt=0)]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Runner:
    """One language: `lang` is the name of its `folder`, `config` what its file says."""

    lang: str
    folder: Path
    config: RunnerConfig
    limits: ResourceLimits

    @property
    def option_values(self) -> Mapping[str, Sequence[str]]:
        """Each option with the values it takes."""
        return {name: option.values for name, option in self.config.options.items()}

    def submission(
        self,
        key: AttemptKey,
        problem: Problem,
        code: str,
        timeout: float,
        cpu_seconds: float | None = None,
    ) -> Submission:
        """The code as a submission: tests win over the code, the code over all other files.

        `timeout` is the wall limit, `cpu_seconds` that of the processor time (None: the same).
        """
        config = self.config
        files = {**config.generated_files, **problem.files, config.solution: code, **problem.tests}
        cpu_seconds = timeout if cpu_seconds is None else cpu_seconds
        return Submission(key, self.lang, files, timeout, cpu_seconds, problem.options)

    def environment(self, options: Mapping[str, str]) -> dict[str, str]:
        """The variables that tell `run.sh` its options."""
        return {
            f"LLMBENCH_{name.upper()}": options.get(name, option.default)
            for name, option in self.config.options.items()
        }


_FILE = TypeAdapter(RunnerConfig)


def load_runners(folder: Path) -> dict[str, Runner]:
    """Read every runner folder inside `folder`; language to runner, in name order.

    Raises:
        RunnerFileError: a runner folder is incomplete or wrong; names file, field and reason.
    """
    files = sorted(folder.glob(f"*/{FILE}"))
    if not files:
        raise RunnerFileError(f"{folder}: no runner here; expected <language>/{FILE}")
    return {path.parent.name: _load(path) for path in files}


def _load(path: Path) -> Runner:
    try:
        about = _FILE.validate_python(yaml_files.load(path, RunnerFileError))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunnerFileError(f"{path}: {where or 'file'}: {_reason(first)}") from None
    if not (path.parent / SCRIPT).is_file():
        raise RunnerFileError(f"{path.parent}: {SCRIPT} is missing")
    _check(path, about)
    return Runner(path.parent.name, path.parent.resolve(), about, _limits(path, about.limits))


def _reason(detail: Any) -> str:
    if detail["type"] in ("missing", "unexpected_keyword_argument"):
        known = ", ".join(RunnerConfig.__dataclass_fields__)
        return "is missing" if detail["type"] == "missing" else f"unknown field (known: {known})"
    return f"{detail['msg']}, not {detail['input']!r}"


def _check(path: Path, about: RunnerConfig) -> None:
    for sign in about.code_patterns:
        try:
            re.compile(sign)
        except re.error as error:
            raise RunnerFileError(
                f"{path}: code_patterns: {sign!r} is no regular expression: {error}"
            ) from None
    for name, option in about.options.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise RunnerFileError(f"{path}: options: {name!r} is not lower-case letters, digits, _")
        if option.default not in option.values:
            values = ", ".join(option.values)
            raise RunnerFileError(
                f"{path}: options.{name}: default {option.default!r} is not one of {values}"
            )


def _limits(path: Path, wanted: Mapping[str, float]) -> ResourceLimits:
    usual = ResourceLimits()
    chosen: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in ResourceLimits.__dataclass_fields__:
            known = ", ".join(ResourceLimits.__dataclass_fields__)
            raise RunnerFileError(f"{path}: limits: {name!r} is not one of {known}")
        kind = type(getattr(usual, name))
        if kind is int and value != int(value):
            raise RunnerFileError(f"{path}: limits.{name}: {value:g} is not a whole number")
        chosen[name] = kind(value)
    return replace(usual, **chosen)
