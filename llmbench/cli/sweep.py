"""`llmbench sweep`: targets × problem sets, one after another, one file per target."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from llmbench import yaml_files
from llmbench.attempt import AttemptPipeline
from llmbench.cli.options import run as flags
from llmbench.cli.options import sweep
from llmbench.cli.run import run
from llmbench.errors import LlmbenchError, OutputError, UsageError
from llmbench.models.limits import RateLimiter
from llmbench.records import Target
from llmbench.reports.console import Console, RunStatus
from llmbench.runs import record, resume
from llmbench.runs.finish import INTERRUPTED, finish_run
from llmbench.store import tables

FAILED = 1
_FIELDS = ("out", "run", "targets", "sets")
_OURS = ("out", "quiet", "resume")
"""Flags of a run that are the sweep's to choose."""


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a sweep; its targets' files go into `folder`."""

    name: str
    folder: Path
    options: flags.Options

    def file(self, model: str) -> Path:
        """Where the rows of a model go."""
        return self.folder / f"{Target(self.options.provider, model, '').slug}.parquet"

    def left(self) -> "Step | None":
        """The step without the models that have their file, as the run that was begun on it.

        None where no model is left.
        """
        models = tuple(m for m in self.options.models if not self.file(m).exists())
        if self.options.models and not models:
            return None
        name = f"{self.folder}: {self.name}"
        begun = resume.find_unfinished(name)
        options = replace(self.options, models=models, resume=begun, sweep_step=name)
        return replace(self, options=options)


def main(options: sweep.Options) -> int:
    """Do what is left of a sweep and return the exit code.

    Raises:
        UsageError: the sweep file cannot be read, or a flag in it is wrong.
    """
    # All of them, so that each fault is told before anything is paid.
    steps = list(steps_of(options))
    return anyio.run(_sweep, steps, Console(options.quiet))


@dataclass(slots=True)
class _Keeping:
    """What ends a step: as a run ends, and with a file for each target that is whole."""

    step: Step
    ended: RunStatus = field(default_factory=RunStatus)

    def __call__(
        self, _: flags.Options, pipeline: AttemptPipeline, ended: RunStatus, console: Console
    ) -> int:
        self.ended = ended
        try:
            return finish_run((), pipeline, ended, console)
        finally:
            _keep_whole(self.step, pipeline, console)


async def _sweep(steps: list[Step], console: Console) -> int:
    worst = 0
    paces: dict[str, RateLimiter] = {}
    for number, step in enumerate(steps, 1):
        left = step.left()
        console.info(
            f"step {number} of {len(steps)}: {step.name}{'' if left else ': done already'}"
        )
        if left is None:
            continue
        keeping = _Keeping(left)
        try:
            code = await run(left.options, keeping, paces)
        except LlmbenchError as error:
            for line in str(error).splitlines():
                console.warn(f"{step.name}: {line}")
            code = FAILED
        if keeping.ended.interrupted:
            return INTERRUPTED
        worst = max(worst, code)
    return worst


def _keep_whole(step: Step, pipeline: AttemptPipeline, console: Console) -> None:
    """Write the file of each target of which nothing is left to do."""
    index, about = record.journal_index(pipeline, console), record.about(pipeline)
    table = tables.to_frame(record.rows(pipeline, index))
    later = (
        tables.to_frame(record.repair_rows(pipeline, index)) if pipeline.plan.max_repairs else None
    )
    missing = record.missing_repairs(pipeline, index)
    try:
        step.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{step.folder}: cannot be made: {error.strerror}") from None
    for target in pipeline.plan.targets:
        rows = table.filter(target=target.label)
        if len(rows) == pipeline.plan.totals[target.label] and not missing[target.label]:
            again = None if later is None else later.filter(target=target.label)
            tables.write_with_repairs(rows, again, step.file(target.model), about)


def steps_of(options: sweep.Options) -> Iterator[Step]:
    """The runs that a sweep file asks for, sets before targets, each with its flags checked.

    Raises:
        UsageError: the file cannot be read, or something in it is wrong.
    """
    given = _read(options.file)
    for set_, chosen in given["sets"].items():
        for place, target in enumerate(given["targets"], 1):
            where = f"{options.file}: sets.{set_} with targets, number {place}"
            asked = _mapping(where, {**given["run"], **chosen, **target})
            for name in _OURS:
                if name in asked:
                    raise UsageError(f"{where}: {name} is the sweep's to choose; leave it out")
            try:
                made = flags.from_flags({"quiet": options.quiet, **asked})
            except UsageError as error:
                raise UsageError(f"{where}: {error}") from None
            folder = Path(given["out"]) / set_ / options.date
            names = ", ".join(made.models) or "the model it offers"
            yield Step(f"{set_}, {made.provider}: {names}", folder, made)


def _read(path: Path) -> dict[str, Any]:
    """The fields of a sweep file, each of its kind."""
    data = yaml_files.load(path)
    given = {"run": {}, "sets": {"all": {}}, **_mapping(str(path), data)}
    unknown = [name for name in given if name not in _FIELDS]
    if unknown:
        raise UsageError(f"{path}: {unknown[0]}: unknown field (known: {', '.join(_FIELDS)})")
    if not isinstance(given.get("out"), str):
        raise UsageError(f"{path}: out: name the folder for the files")
    if not isinstance(given.get("targets"), list) or not given["targets"]:
        raise UsageError(f"{path}: targets: give a list of provider and model")
    _mapping(f"{path}: run", given["run"])
    for name, chosen in _mapping(f"{path}: sets", given["sets"]).items():
        if not name or Path(name).name != name:
            raise UsageError(f"{path}: sets: {name!r} cannot name a folder")
        given["sets"][name] = _mapping(f"{path}: sets.{name}", chosen or {})
    for place, target in enumerate(given["targets"], 1):
        _mapping(f"{path}: targets, number {place}", target)
    return given


def _mapping(where: str, value: object) -> dict[str, Any]:
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return dict(value)
    raise UsageError(f"{where}: is not a mapping of names to values")
