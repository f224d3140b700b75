"""Runners: the languages, each described by a folder."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, with_config

from llmbench import yaml_files
from llmbench.errors import ProblemFileError, RunnerFileError
from llmbench.extraction import (
    CompletionRules,
    Extraction,
    Syntax,
    extract,
    extract_completion,
    prompt_stub,
)
from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Problem, Submission

FILE = "runner.yaml"
SCRIPT = "run.sh"
SETUP = "setup.sh"
CHECK = "check.sh"
PATTERN_FIELDS = (
    "code_patterns",
    "definition_patterns",
    "binding_patterns",
    "import_patterns",
    "use_patterns",
)
GROUPS = {"definition_patterns": "name", "binding_patterns": "name", "use_patterns": "names"}
"""The group that each pattern of a field must have."""
AUTHORING = "authoring"
"""Folder of files for authors of problems; no sandbox needs it."""


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Upper limits for the code of one submission; a runner may set other values.

    Units are in the names; `cpus` counts cores. Code never gets a network, a capability, a new
    privilege, a writable root or an environment variable of llmbench.
    """

    memory_mb: int = 1024
    cpus: float = 1.0
    pids: int = 256
    work_mb: int = 256
    file_mb: int = 64
    open_files: int = 1024
    log_kb: int = 256
    report_kb: int = 640


DEFAULT_LIMITS = ResourceLimits()


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True)
class Option:
    """A field that problems of this language may set, and its values.

    For every value but the default, `programs` are needed where no image is used, and `limits`
    replace those of the language.
    """

    values: Annotated[tuple[str, ...], Field(min_length=1)]
    default: str
    programs: tuple[str, ...] = ()
    limits: Mapping[str, Annotated[float, Field(gt=0)]] = field(default_factory=dict)


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """The fields of `runner.yaml`; runners/README.md explains each.

    `report` names a format of `sandboxes.report_formats`, and is checked when a sandbox opens.
    """

    title: Annotated[str, Field(min_length=1)]
    fences: Annotated[tuple[str, ...], Field(min_length=1)]
    solution: Annotated[str, Field(min_length=1)]
    image: Annotated[str, Field(min_length=1)]
    report: Annotated[str, Field(min_length=1)]
    toolchain: Annotated[Mapping[str, str | None], Field(min_length=1)]
    completion: Annotated[CompletionRules, with_config({"extra": "forbid"})] | None = None
    instructions: str = ""
    code_patterns: tuple[str, ...] = ()
    definition_patterns: tuple[str, ...] = ()
    binding_patterns: tuple[str, ...] = ()
    import_patterns: tuple[str, ...] = ()
    use_patterns: tuple[str, ...] = ()
    generated_files: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)
    limits: Mapping[str, Annotated[float, Field(gt=0)]] = field(default_factory=dict)


@dataclass(frozen=True)
class Runner:
    """One language: `lang` is the name of its `folder`, `config` the content of its file."""

    lang: str
    folder: Path
    config: RunnerConfig
    limits: ResourceLimits

    @property
    def bundled(self) -> bool:
        """True if llmbench brings this language."""
        return self.folder.parent == bundled_dir("runners").resolve()

    @property
    def option_values(self) -> Mapping[str, Sequence[str]]:
        """Each option with its values."""
        return {name: option.values for name, option in self.config.options.items()}

    @cached_property
    def syntax(self) -> Syntax:
        """The parts of the syntax by which code is found in an answer."""
        config = self.config
        patterns = {name: getattr(config, name) for name in PATTERN_FIELDS}
        return Syntax(config.fences, solution=config.solution, **patterns)

    def wanted_names(self, problem: Problem) -> frozenset[str]:
        """Return the names that a solution must define: those that the tests take from it.

        If the tests name none, they are those that the stub in the prompt defines.
        """
        if problem.sha256 not in self._wanted_names:
            texts = (*problem.tests.values(), *problem.files.values())
            names = frozenset[str]().union(*map(self.syntax.imported_names, texts))
            stub = prompt_stub(problem.prompt, self.syntax) or ""
            self._wanted_names[problem.sha256] = names or self.syntax.defined_names(stub)
        return self._wanted_names[problem.sha256]

    @cached_property
    def _wanted_names(self) -> dict[str, frozenset[str]]:
        """The names of the problems so far, by their `sha256`."""
        return {}

    def extract(self, problem: Problem, answer: str) -> Extraction:
        """Return the code in an answer to a problem."""
        names, stub = self.wanted_names(problem), prompt_stub(problem.prompt, self.syntax)
        if problem.completion is None or self.config.completion is None or stub is None:
            return extract(answer, self.syntax, names)
        return extract_completion(answer, self.syntax, self.config.completion, stub, names)

    def completion_fault(self, problem: Problem) -> str | None:
        """Return the reason why `completion` of a problem cannot be used, None if it can."""
        if problem.completion is None:
            return None
        if self.config.completion is None:
            return f"{self.lang} has no rules for it: leave it out"
        if prompt_stub(problem.prompt, self.syntax) is None:
            return f"the prompt has no {self.config.fences[0]} block to complete"
        return None

    def submission(
        self,
        key: AttemptKey,
        problem: Problem,
        code: str,
        timeout: float,
        cpu_seconds: float | None = None,
    ) -> Submission:
        """Return the code as a submission.

        Tests replace files of the same path, and the code replaces all others. `timeout` is the
        limit of wall time, `cpu_seconds` that of processor time (None: the same), in seconds.
        """
        config = self.config
        files = {**config.generated_files, **problem.files, config.solution: code, **problem.tests}
        cpu_seconds = timeout if cpu_seconds is None else cpu_seconds
        return Submission(key, self.lang, files, timeout, cpu_seconds, problem.options)

    def changed_options(self, options: Mapping[str, str]) -> dict[str, str]:
        """Return the options whose values are not the default."""
        return {
            name: value
            for name, value in options.items()
            if name in self.config.options and value != self.config.options[name].default
        }

    def for_options(self, options: Mapping[str, str]) -> "Runner":
        """Return the language with the limits of a submission that has these options."""
        limits = self.limits
        for name in self.changed_options(options):
            limits = _limits(self.folder / FILE, self.config.options[name].limits, limits)
        return replace(self, limits=limits)

    def environment(self, options: Mapping[str, str]) -> dict[str, str]:
        """Return the variables by which `run.sh` reads its options."""
        return {
            f"LLMBENCH_{name.upper()}": options.get(name, option.default)
            for name, option in self.config.options.items()
        }


_CONFIG = TypeAdapter(RunnerConfig)


def load_all(own: Sequence[Path] = ()) -> dict[str, Runner]:
    """Return the bundled languages and those of the user's `own` paths, by name.

    A language of one's own replaces a bundled one of the same name.

    Raises:
        RunnerFileError: a path holds no runner, two hold the same language, or a runner is wrong.
    """
    added: dict[str, Runner] = {}
    for path in own:
        for lang, runner in load_runners(path).items():
            if lang in added and added[lang].folder != runner.folder:
                folders = f"{added[lang].folder} and {runner.folder}"
                raise RunnerFileError(f"{lang}: two runners: {folders}", hint="leave out one")
            added[lang] = runner
    return dict(sorted({**load_runners(bundled_dir("runners")), **added}.items()))


def check_completions(problems: Iterable[Problem], runners: Mapping[str, Runner]) -> None:
    """Check that an answer can complete the stub of each problem that says so.

    Raises:
        ProblemFileError: with every problem whose stub cannot be completed.
    """
    faults = [(p.id, runners[p.lang].completion_fault(p)) for p in problems]
    lines = [f"problem {id_}: completion: {fault}" for id_, fault in faults if fault is not None]
    if lines:
        raise ProblemFileError(lines)


def load_runners(folder: Path) -> dict[str, Runner]:
    """Read a runner folder, or every one inside `folder`; return runners by language, in order.

    Raises:
        RunnerFileError: a runner folder is incomplete or wrong; names file, field and reason.
    """
    files = [folder / FILE] if (folder / FILE).is_file() else sorted(folder.glob(f"*/{FILE}"))
    if not files:
        raise RunnerFileError(f"{folder}: no runner here", hint=f"add <language>/{FILE}")
    return {path.resolve().parent.name: _load(path.resolve()) for path in files}


def _load(path: Path) -> Runner:
    try:
        config = _CONFIG.validate_python(yaml_files.load(path, RunnerFileError))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field_path = ".".join(str(part) for part in first["loc"])
        raise RunnerFileError(f"{path}: {field_path or 'file'}: {_reason(first)}") from None
    if not (path.parent / SCRIPT).is_file():
        raise RunnerFileError(f"{path.parent}: {SCRIPT} is missing")
    _check(path, config)
    runner = Runner(path.parent.name, path.parent.resolve(), config, _limits(path, config.limits))
    for option in config.options.values():
        _limits(path, option.limits)
    return runner


def _reason(detail: Any) -> str:
    if detail["type"] in ("missing", "unexpected_keyword_argument"):
        known = ", ".join(RunnerConfig.__dataclass_fields__)
        return "is missing" if detail["type"] == "missing" else f"unknown field (known: {known})"
    return f"{detail['msg']}, not {detail['input']!r}"


def _check(path: Path, config: RunnerConfig) -> None:
    for name in PATTERN_FIELDS:
        for pattern in getattr(config, name):
            _check_pattern(path, name, pattern)
    for name, option in config.options.items():
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise RunnerFileError(f"{path}: options: {name!r} is not lower-case letters, digits, _")
        if option.default not in option.values:
            values = ", ".join(option.values)
            raise RunnerFileError(
                f"{path}: options.{name}: default {option.default!r} is not one of {values}"
            )


def _check_pattern(path: Path, name: str, pattern: str) -> None:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise RunnerFileError(
            f"{path}: {name}: {pattern!r} is not a regular expression: {error}"
        ) from None
    group = GROUPS.get(name)
    if group is not None and group not in groups:
        raise RunnerFileError(f"{path}: {name}: {pattern!r} has no group (?P<{group}>…)")


def _limits(
    path: Path, values: Mapping[str, float], defaults: ResourceLimits = DEFAULT_LIMITS
) -> ResourceLimits:
    limits: dict[str, Any] = {}
    for name, value in values.items():
        if name not in ResourceLimits.__dataclass_fields__:
            known = ", ".join(ResourceLimits.__dataclass_fields__)
            raise RunnerFileError(f"{path}: limits: {name!r} is not one of {known}")
        kind = type(getattr(defaults, name))
        if kind is int and value != int(value):
            raise RunnerFileError(f"{path}: limits.{name}: {value:g} is not a whole number")
        limits[name] = kind(value)
    return replace(defaults, **limits)
