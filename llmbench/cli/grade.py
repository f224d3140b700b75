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

from llmbench import plan
from llmbench.attempt import AttemptPipeline
from llmbench.cli.options.grade import Options
from llmbench.cli.run import RunJob, read_problems, run_job
from llmbench.errors import RunError, UsageError
from llmbench.events import Listener
from llmbench.models.base import Model
from llmbench.models.none import NoModel
from llmbench.models.providers import is_replayed
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import Attempt, Target
from llmbench.reports.console import Console, RunStatus
from llmbench.runners import load_runners
from llmbench.runs import record
from llmbench.store import journal, result_paths
from llmbench.store.answer_file import AnswerFile
from llmbench.store.run_dir import RunDirectory

FAULTS_SHOWN = 10

STDIN = "stdin"


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingPlan(Plan):
    """A plan whose attempts bring their answers: as many as there are, in the order given."""

    given: AnswerFile

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

    def workloads(self) -> Iterator[tuple[EndpointPlan, Iterator[Iterator[Attempt]]]]:
        """Every answer once, in a single lane."""
        yield self.endpoints[0], iter([self.given.attempts()])

    def ordered(self) -> Iterator[Attempt]:
        """Every answer once, in the order of tables; the texts stay in the file."""
        bare = (replace(attempt, known_completion=None) for attempt in self.given.attempts())
        yield from sorted(bare, key=lambda a: (a.target.label, a.problem.lang, a.problem.id, a.run))


def main(options: Options) -> int:
    """Grade everything and return the exit code.

    Raises:
        LlmbenchError: nothing can be graded, or the run failed.
    """
    with _file(options.answers) as path:
        return anyio.run(_grade, options, path)


async def _grade(options: Options, path: Path) -> int:
    console = Console(options.quiet)
    runners = load_runners(plan.bundled_dir("runners"))
    known, selected = read_problems(options.problems, runners)
    result_paths.check(options.out)
    given = AnswerFile(
        path,
        options.model or (STDIN if options.answers is None else path.stem),
        {problem.id: problem for problem in known},
        {problem.id for problem in selected},
        _FirstErrors(console),
    )
    given.survey()
    if given.faults > FAULTS_SHOWN:
        console.warn(f"and {given.faults - FAULTS_SHOWN} more lines that cannot be graded")
    if not given.totals:
        raise RunError(f"{path}: holds no answer to grade")
    _tell_changed(given, console)
    job = RunJob(
        _plan(options, given),
        RunDirectory(plan.WORK_FOLDER),
        runners,
        options.sandbox,
        model=_absent,
        slots=lambda endpoint: anyio.CapacityLimiter(endpoint.concurrency),
        begin=partial(record.begin, commands=()),
        own_answers=False,
    )

    def concluded(pipeline: AttemptPipeline, ended: RunStatus, console: Console) -> int:
        from llmbench.runs.finish import finish_run

        code = finish_run(options.out, pipeline, ended, console)
        if given.faults:
            console.warn(f"{given.faults} lines of {path} were left out")
        return code or int(given.faults > 0)

    return await run_job(job, console, concluded)


def _plan(options: Options, given: AnswerFile) -> GradingPlan:
    targets = tuple(given.targets[label] for label in given.totals)
    recorded = any(is_replayed(target.provider) for target in targets)
    return GradingPlan(
        endpoints=(EndpointPlan(targets, options.sandbox.slots, replayed=recorded),),
        problems=tuple(given.known[id_] for id_ in sorted(given.asked)),
        runs=1,
        max_sandboxes=options.sandbox.slots,
        test_timeout=options.sandbox.timeout,
        given=given,
    )


def _absent(target: Target, _: Listener) -> Model:
    return NoModel(target)


class _FirstErrors:
    """Tells the first faults, a line each; there may be as many as there are lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = 0

    def __call__(self, line: str) -> None:
        """Tell one, or not."""
        self._told += 1
        if self._told <= FAULTS_SHOWN:
            self._console.warn(line)


def _tell_changed(given: AnswerFile, console: Console) -> None:
    changed = sorted(given.changed & given.asked)
    if changed:
        console.warn(
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
