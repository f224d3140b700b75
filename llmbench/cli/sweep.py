"""`llmbench sweep`: targets × problem sets, one after another, one file per target."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from llmbench import settings
from llmbench.attempt import Bench
from llmbench.cli import record, resume
from llmbench.cli.conclude import INTERRUPTED, conclude
from llmbench.cli.options import run as flags
from llmbench.cli.options import sweep
from llmbench.cli.run import execute
from llmbench.cli.screen import Ended, Screen
from llmbench.errors import LlmbenchError, OutputError, UsageError
from llmbench.models.limits import Pace
from llmbench.records import Target
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
        begun = resume.unfinished(name)
        options = replace(self.options, models=models, resume=begun, part_of=name)
        return replace(self, options=options)


def main(options: sweep.Options) -> int:
    """Do what is left of a sweep and return the exit code.

    Raises:
        UsageError: the sweep file cannot be read, or a flag in it is wrong.
    """
    # All of them, so that each fault is told before anything is paid.
    steps = list(steps_of(options))
    return anyio.run(_sweep, steps, Screen(options.quiet))


@dataclass(slots=True)
class _Keeping:
    """What ends a step: as a run ends, and with a file for each target that is whole."""

    step: Step
    ended: Ended = field(default_factory=Ended)

    def __call__(self, _: flags.Options, bench: Bench, ended: Ended, screen: Screen) -> int:
        self.ended = ended
        try:
            return conclude((), bench, ended, screen)
        finally:
            _keep_whole(self.step, bench, screen)


async def _sweep(steps: list[Step], screen: Screen) -> int:
    worst = 0
    paces: dict[str, Pace] = {}
    for number, step in enumerate(steps, 1):
        left = step.left()
        screen.note(f"step {number} of {len(steps)}: {step.name}{'' if left else ': done already'}")
        if left is None:
            continue
        keeping = _Keeping(left)
        try:
            code = await execute(left.options, keeping, paces)
        except LlmbenchError as error:
            for line in str(error).splitlines():
                screen.warn(f"{step.name}: {line}")
            code = FAILED
        if keeping.ended.interrupted:
            return INTERRUPTED
        worst = max(worst, code)
    return worst


def _keep_whole(step: Step, bench: Bench, screen: Screen) -> None:
    """Write the file of each target of which nothing is left to do."""
    ledger, about = record.ledger(bench, screen), record.about(bench)
    table = tables.frame(record.rows(bench, ledger))
    later = tables.frame(record.later_rows(bench, ledger)) if bench.plan.repair else None
    missing = record.later_missing(bench, ledger)
    try:
        step.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{step.folder}: cannot be made: {error.strerror}") from None
    for target in bench.plan.targets:
        rows = table.filter(target=target.label)
        if len(rows) == bench.plan.totals[target.label] and not missing[target.label]:
            again = None if later is None else later.filter(target=target.label)
            tables.write_rounds(rows, again, step.file(target.model), about)


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
    data = settings.read(path)
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
