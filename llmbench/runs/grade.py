"""Grade answers from a file: a run that asks no model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from llmbench.errors import RunError
from llmbench.events import Listener
from llmbench.models.base import Model
from llmbench.models.none import NoModel
from llmbench.models.providers import is_replayed
from llmbench.plan import WORK_FOLDER, EndpointPlan, Plan
from llmbench.records import Attempt, Target
from llmbench.reports.console import Console
from llmbench.runners import load_all
from llmbench.runs import record, signals
from llmbench.runs.options import GradeOptions
from llmbench.runs.run import Finish, Run, RunJob, T, load_problems, run_job
from llmbench.runs.signals import SignalSource
from llmbench.store import journal, result_paths
from llmbench.store.answer_file import AnswerFile
from llmbench.store.run_dir import RunDirectory
from llmbench.texts import counted

ERRORS_SHOWN = 10
CHANGED_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingPlan(Plan):
    """A plan whose attempts bring their answers, in the order of the file."""

    answers: AnswerFile

    @property
    def totals(self) -> Mapping[str, int]:
        """Number of answers of each target, by its label."""
        return self.answers.totals

    @property
    def outline(self) -> str:
        """One line for people about the work to do."""
        return (
            f"{counted(self.size, 'answer', 'answers')} to "
            f"{counted(len(self.problems), 'problem', 'problems')}, by "
            f"{counted(len(self.targets), 'target', 'targets')}, "
            f"{'is' if self.size == 1 else 'are'} graded; no model is asked"
        )

    def workloads(self) -> Iterator[tuple[EndpointPlan, Iterator[Iterator[Attempt]]]]:
        """Yield the only endpoint with every answer once."""
        yield self.endpoints[0], iter([self.answers.attempts()])

    def ordered(self) -> Iterator[Attempt]:
        """Yield every answer once, in the order of tables; the texts stay in the file."""
        bare = (replace(attempt, known_completion=None) for attempt in self.answers.attempts())
        yield from sorted(bare, key=lambda a: (a.target.label, a.problem.lang, a.problem.id, a.run))


async def grade(
    options: GradeOptions,
    finish: Finish[T],
    console: Console,
    model: str | None = None,
    open_signals: SignalSource = signals.of_process,
) -> tuple[T, int]:
    """Grade every answer; returns the result of `finish` and the number of unusable lines.

    `model` is the model of the answers that name none (default: the name of the file).
    `open_signals` opens the signals that stop the run.

    Raises:
        LlmbenchError: no answer can be graded, or the run failed.
    """
    runners = load_all(options.runner_paths)
    known, selected = load_problems(options, runners)
    result_paths.check(options.out)
    path = options.answers
    answers = AnswerFile(
        path / journal.NAME if path.is_dir() else path,
        options.model or model or path.stem,
        {problem.id: problem for problem in known},
        {problem.id for problem in selected},
        _FirstErrors(console),
    )
    _scan(answers, console)
    job = RunJob(
        plan=_plan(options, answers),
        directory=RunDirectory(WORK_FOLDER),
        runners=runners,
        sandbox=options.spec,
        open_model=_no_model,
        begin=_begin,
    )
    result = await run_job(job, console, finish, open_signals)
    if answers.faults:
        console.warn(f"{answers.faults} lines of {answers.path} were skipped")
    return result, answers.faults


def _scan(answers: AnswerFile, console: Console) -> None:
    """Read the file once, and warn of lines that cannot be graded and of changed problems."""
    answers.scan()
    if answers.faults > ERRORS_SHOWN:
        console.warn(f"and {answers.faults - ERRORS_SHOWN} more lines that cannot be graded")
    if not answers.totals:
        raise RunError(f"{answers.path}: holds no answer to grade")
    changed = sorted(answers.changed & answers.problem_ids)
    if changed:
        names = ", ".join(changed[:CHANGED_SHOWN]) + (", …" * (len(changed) > CHANGED_SHOWN))
        console.warn(
            f"{len(changed)} problems have changed since the run, and are graded as they are now: "
            f"{names}"
        )


def _plan(options: GradeOptions, answers: AnswerFile) -> GradingPlan:
    targets = tuple(answers.targets[label] for label in answers.totals)
    replayed = any(is_replayed(target.provider) for target in targets)
    slots = options.sandbox_slots
    return GradingPlan(
        endpoints=(EndpointPlan(targets, slots, replayed=replayed),),
        problems=tuple(answers.known[id_] for id_ in sorted(answers.problem_ids)),
        runs=1,
        max_sandboxes=slots,
        test_timeout=options.test_timeout,
        answers=answers,
    )


def _begin(run: Run, versions: Mapping[str, str]) -> None:
    record.begin(run, versions, options=None)


def _no_model(target: Target, _: Listener) -> Model:
    return NoModel(target)


class _FirstErrors:
    """Prints the first errors, a line each; there may be as many as there are lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._count = 0

    def __call__(self, line: str) -> None:
        """Print one, or count it only."""
        self._count += 1
        if self._count <= ERRORS_SHOWN:
            self._console.warn(line)
