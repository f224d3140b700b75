"""`llmbench sweep`: targets × problem sets, one after another, one file per target."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from llmbench import yaml_files
from llmbench.cli.options.sweep import SweepOptions
from llmbench.errors import LlmbenchError, OutputError, UsageError
from llmbench.models.limits import RateLimiter
from llmbench.records import Target
from llmbench.reports.console import Console, RunStatus
from llmbench.runs import record, resume
from llmbench.runs.finish import INTERRUPTED, finish_run
from llmbench.runs.options import RunOptions
from llmbench.runs.run import Run, run
from llmbench.store import tables

FAILED = 1
_FIELDS = ("out", "run", "targets", "sets")
_CHOSEN_HERE = ("out", "quiet", "resume")
"""Options of a run that the sweep sets itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One run of a sweep; its targets' files go into `folder`."""

    name: str
    folder: Path
    options: RunOptions

    def file(self, target: Target) -> Path:
        """Return the path of a target's rows."""
        return self.folder / f"{target.slug}.parquet"

    def is_done(self, model: str) -> bool:
        """True if a model of the step's provider has its file."""
        target = Target(self.options.provider, model, "", variant=self.options.label)
        return self.file(target).exists()

    @property
    def record_name(self) -> str:
        """The name of the step in the record of its run."""
        return f"{self.folder}: {self.name}"

    def remaining(self) -> "Step | None":
        """Return the step without the models that have their file, as the run that was begun.

        None if no model remains.
        """
        models = tuple(m for m in self.options.model if not self.is_done(m))
        if self.options.model and not models:
            return None
        begun = resume.find_unfinished(self.record_name)
        values = {**self.options.explicit, "model": models, "resume": begun}
        return replace(self, options=RunOptions.from_values(values))


def main(options: SweepOptions) -> int:
    """Do the remaining steps of a sweep and return the exit code.

    Raises:
        UsageError: the sweep file cannot be read, or an option in it is wrong.
    """
    # All steps are made first, so that every mistake is reported before anything is paid.
    steps = list(steps_of(options))
    return anyio.run(_sweep, steps, Console(options.quiet))


@dataclass(slots=True)
class _StepFinish:
    """Ends the run of a step, and writes a file for each target that is complete."""

    step: Step
    status: RunStatus = field(default_factory=RunStatus)

    def __call__(self, ended: Run, console: Console) -> int:
        self.status = ended.status
        try:
            return finish_run((), ended, console)
        finally:
            _write_complete_targets(self.step, ended)


async def _sweep(steps: list[Step], console: Console) -> int:
    worst = 0
    rate_limiters: dict[str, RateLimiter] = {}
    for number, step in enumerate(steps, 1):
        remaining = step.remaining()
        state = "" if remaining else ": done already"
        console.info(f"step {number} of {len(steps)}: {step.name}{state}")
        if remaining is None:
            continue
        finish = _StepFinish(remaining)
        try:
            code = await run(
                remaining.options,
                finish,
                console,
                rate_limiters=rate_limiters,
                sweep_step=step.record_name,
            )
        except LlmbenchError as error:
            for line in str(error).splitlines():
                console.warn(f"{step.name}: {line}")
            code = FAILED
        if finish.status.interrupted:
            return INTERRUPTED
        worst = max(worst, code)
    return worst


def _write_complete_targets(step: Step, ended: Run) -> None:
    """Write the file of each target of which nothing is missing."""
    view, plan = ended.view, ended.plan
    table = tables.to_frame(view.rows())
    repairs = tables.to_frame(view.repairs()) if plan.max_repairs else None
    missing = view.missing() + view.missing_repairs()
    metadata = record.metadata(ended)
    try:
        step.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{step.folder}: cannot be made: {error.strerror}") from None
    for target in plan.targets:
        if not missing[target.label]:
            rows = table.filter(target=target.label)
            of_target = None if repairs is None else repairs.filter(target=target.label)
            tables.write_with_repairs(rows, of_target, step.file(target), metadata)


def steps_of(options: SweepOptions) -> Iterator[Step]:
    """Yield the runs of a sweep file, sets before targets, each with its options checked.

    Raises:
        UsageError: the file cannot be read, or something in it is wrong.
    """
    sweep = _read(options.file)
    for set_name, of_set in sweep["sets"].items():
        for number, target in enumerate(sweep["targets"], 1):
            where = f"{options.file}: sets.{set_name} with targets, number {number}"
            values = _mapping(where, {**sweep["run"], **of_set, **target})
            for name in _CHOSEN_HERE:
                if name in values:
                    raise UsageError(f"{where}: {name} is set by the sweep; leave it out")
            try:
                of_run = RunOptions.from_values({"quiet": options.quiet, **values})
            except UsageError as error:
                raise UsageError(f"{where}: {error}") from None
            folder = Path(sweep["out"]) / set_name / options.day
            names = ", ".join(of_run.model) or "the model it offers"
            variant = f" #{of_run.label}" if of_run.label else ""
            yield Step(f"{set_name}, {of_run.provider}: {names}{variant}", folder, of_run)


def _read(path: Path) -> dict[str, Any]:
    """Return the fields of a sweep file, each of its type."""
    data = yaml_files.load(path)
    sweep = {"run": {}, "sets": {"all": {}}, **_mapping(str(path), data)}
    unknown = [name for name in sweep if name not in _FIELDS]
    if unknown:
        raise UsageError(f"{path}: {unknown[0]}: unknown field (known: {', '.join(_FIELDS)})")
    if not isinstance(sweep.get("out"), str):
        raise UsageError(f"{path}: out: name the folder for the files")
    if not isinstance(sweep.get("targets"), list) or not sweep["targets"]:
        raise UsageError(f"{path}: targets: give a list of provider and model")
    _mapping(f"{path}: run", sweep["run"])
    for name, of_set in _mapping(f"{path}: sets", sweep["sets"]).items():
        if not name or Path(name).name != name:
            raise UsageError(f"{path}: sets: {name!r} cannot name a folder")
        sweep["sets"][name] = _mapping(f"{path}: sets.{name}", of_set or {})
    for number, target in enumerate(sweep["targets"], 1):
        _mapping(f"{path}: targets, number {number}", target)
    return sweep


def _mapping(where: str, value: object) -> dict[str, Any]:
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return dict(value)
    raise UsageError(f"{where}: is not a mapping of names to values")
