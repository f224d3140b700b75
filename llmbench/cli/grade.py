"""`llmbench grade`: test answers that are there already, write, tell."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio

from llmbench import config
from llmbench.attempt import Bench
from llmbench.cli import record
from llmbench.cli.options.grade import Options
from llmbench.cli.run import Job, carry_out, read_problems
from llmbench.cli.screen import Ended, Screen
from llmbench.cli.targets import DEMO
from llmbench.config import Lane, Plan
from llmbench.errors import RunError, UsageError
from llmbench.events import Listener
from llmbench.models.absent import AbsentModel
from llmbench.models.base import Model
from llmbench.records import Attempt, Target
from llmbench.sandboxes.runners import load_runners
from llmbench.store import journal, outputs
from llmbench.store.given import Given
from llmbench.store.work import WorkFolder

FAULTS_SHOWN = 10

STDIN = "stdin"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPlan(Plan):
    """A plan whose attempts bring their answers: as many as there are, in the order given."""

    given: Given

    @property
    def totals(self) -> Mapping[str, int]:
        """Number of answers of each target, by its label."""
        return self.given.totals

    @property
    def outline(self) -> str:
        """What there is to do, in a line for people."""
        return (
            f"{self.size} answers to {len(self.problems)} problems, by {len(self.targets)} "
            "targets, are graded; no model is asked"
        )

    def shares(self) -> Iterator[tuple[Lane, Iterator[Iterator[Attempt]]]]:
        """Every answer once, in a single lane."""
        yield self.lanes[0], iter([self.given.attempts()])

    def ordered(self) -> Iterator[Attempt]:
        """Every answer once, in the order of tables; the texts stay in the file."""
        bare = (replace(attempt, given=None) for attempt in self.given.attempts())
        yield from sorted(bare, key=lambda a: (a.target.label, a.problem.lang, a.problem.id, a.run))


def main(options: Options) -> int:
    """Grade everything and return the exit code.

    Raises:
        LlmbenchError: nothing can be graded, or the run failed.
    """
    with _file(options.answers) as path:
        return anyio.run(_grade, options, path)


async def _grade(options: Options, path: Path) -> int:
    screen = Screen(options.quiet)
    runners = load_runners(config.shipped("runners"))
    known, selected = read_problems(options.problems, runners)
    outputs.check(options.out)
    given = Given(
        path,
        options.model or (STDIN if options.answers is None else path.stem),
        {problem.id: problem for problem in known},
        {problem.id for problem in selected},
        _FewFaults(screen),
    )
    given.survey()
    if given.faults > FAULTS_SHOWN:
        screen.warn(f"and {given.faults - FAULTS_SHOWN} more lines that cannot be graded")
    if not given.totals:
        raise RunError(f"{path}: holds no answer to grade")
    _tell_changed(given, screen)
    job = Job(
        _plan(options, given),
        WorkFolder(config.WORK_FOLDER),
        runners,
        options.sandbox,
        model=_absent,
        slots=lambda lane: anyio.CapacityLimiter(lane.concurrency),
        begin=partial(record.begin, commands=()),
        own_answers=False,
    )

    def concluded(bench: Bench, ended: Ended, screen: Screen) -> int:
        from llmbench.cli.conclude import conclude

        code = conclude(options.out, bench, ended, screen)
        if given.faults:
            screen.warn(f"{given.faults} lines of {path} were left out")
        return code or int(given.faults > 0)

    return await carry_out(job, screen, concluded)


def _plan(options: Options, given: Given) -> GivenPlan:
    targets = tuple(given.targets[label] for label in given.totals)
    recorded = any(target.provider == DEMO for target in targets)
    return GivenPlan(
        lanes=(Lane(targets, options.sandbox.slots, recorded=recorded),),
        problems=tuple(given.known[id_] for id_ in sorted(given.asked)),
        runs=1,
        sandboxes=options.sandbox.slots,
        test_timeout=options.sandbox.timeout,
        given=given,
    )


def _absent(target: Target, _: Listener) -> Model:
    return AbsentModel(target)


class _FewFaults:
    """Tells the first faults, a line each; there may be as many as there are lines."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._told = 0

    def __call__(self, line: str) -> None:
        """Tell one, or not."""
        self._told += 1
        if self._told <= FAULTS_SHOWN:
            self._screen.warn(line)


def _tell_changed(given: Given, screen: Screen) -> None:
    changed = sorted(given.changed & given.asked)
    if changed:
        screen.warn(
            f"{len(changed)} problems have changed since the run, and are graded as they are now: "
            + ", ".join(changed[:5])
            + (", …" * (len(changed) > 5))
        )


@contextmanager
def _file(answers: Path | None) -> Iterator[Path]:
    """A file that can be read twice.

    Raises:
        UsageError: there is no such file, or stdin cannot be kept.
    """
    if answers is not None:
        yield answers / journal.NAME if answers.is_dir() else answers
        return
    with tempfile.TemporaryDirectory(prefix="llmbench-") as folder:
        path = Path(folder, STDIN)
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        except OSError as error:
            raise UsageError(f"{STDIN}: cannot be kept in {folder}: {error.strerror}") from None
        yield path
