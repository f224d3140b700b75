"""`llmbench [run]`: ask, test, write, tell."""

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup

from llmbench import plan as config
from llmbench import problems as problem_files
from llmbench.attempt import AttemptPipeline
from llmbench.cli.options import ProblemOptions, SandboxOptions
from llmbench.cli.options.run import Options
from llmbench.errors import LlmbenchError
from llmbench.events import Draining, Listener
from llmbench.models.base import Model
from llmbench.models.limits import RateLimiter
from llmbench.plan import EndpointPlan, Plan
from llmbench.records import Problem, Target
from llmbench.reports.console import Console, RunStatus
from llmbench.runners import Runner, load_runners
from llmbench.runs import record, resume, targets
from llmbench.sandboxes.open import open_sandbox
from llmbench.scheduler import Scheduler, Workload
from llmbench.store import result_paths
from llmbench.store.cache import Cache
from llmbench.store.journal import Journal
from llmbench.store.journal_index import JournalIndex
from llmbench.store.run_dir import RunDirectory

T = TypeVar("T", covariant=True)
Signals = AsyncIterator[signal.Signals]
_PASS_ON_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class RunJob:
    """What a run does, and with which parts: `model` makes the client of a target.

    `slots` bound the answers that stream at once in a lane. `begin` is called before anything is
    asked, with the versions of what runs the tests. `own_answers` says that every answer is a
    recorded one of our own.
    """

    plan: Plan
    work: RunDirectory
    runners: Mapping[str, Runner]
    sandbox: SandboxOptions
    model: Callable[[Target, Listener], Model]
    slots: Callable[[EndpointPlan], anyio.CapacityLimiter]
    begin: Callable[[AttemptPipeline, Mapping[str, str]], None]
    own_answers: bool


class FinishCallback(Protocol[T]):
    """Ends a run: writes, tells, and returns what the caller wants of it."""

    def __call__(
        self, options: Options, pipeline: AttemptPipeline, ended: RunStatus, console: Console, /
    ) -> T:
        """End it."""


def main(options: Options) -> int:
    """Do a whole run and return the exit code."""
    return anyio.run(run, resume.merge_options(options), _concluded)


async def run(
    options: Options, concluded: FinishCallback[T], paces: dict[str, RateLimiter] | None = None
) -> T:
    """Do a whole run and return what `concluded` makes of it.

    `paces` are those of each server's address so far, where a run follows another.

    Raises:
        LlmbenchError: the run cannot begin, or `concluded` says that it failed.
    """
    console = Console(options.quiet)
    runners = load_runners(config.bundled_dir("runners"))
    _, chosen = read_problems(options.problems, runners)
    problems = targets.with_recorded_answers(options, chosen)
    result_paths.check(options.out)
    paces = {} if paces is None else paces
    async with targets.open_targets(options, problems, console, paces) as asked:
        plan = Plan(
            endpoints=asked.endpoints,
            problems=tuple(problems),
            runs=options.runs,
            max_sandboxes=options.sandbox.slots,
            test_timeout=options.sandbox.timeout,
            max_cost=options.max_cost,
            max_repairs=options.repair,
        )

        def begin(pipeline: AttemptPipeline, versions: Mapping[str, str]) -> None:
            if options.resume:
                pipeline.resume_from(JournalIndex(pipeline.journal.path, console.warn))
                asked.check_reached(resume.report_resume(pipeline, versions, console))
            if options.cache:
                pipeline.cache = Cache(config.WORK_FOLDER, pipeline.journal.path)
            record.begin(pipeline, versions, resume.session_argv(options, plan), options.sweep_step)

        work = RunDirectory(config.WORK_FOLDER, options.resume)
        job = RunJob(
            plan, work, runners, options.sandbox, asked.model, asked.slots, begin, plan.replayed
        )
        return await run_job(job, console, partial(concluded, options))


async def run_job(
    job: RunJob, console: Console, concluded: Callable[[AttemptPipeline, RunStatus, Console], T]
) -> T:
    """Do all attempts of a plan, and return what `concluded` makes of it.

    How it ended is known to `concluded`, and after it whether a Ctrl-C came late: then there was
    nothing left to interrupt but what its caller would do next.

    Raises:
        LlmbenchError: there is no sandbox or work folder, or `concluded` says that it failed.
    """
    plan, work = job.plan, job.work
    needed = {lang: job.runners[lang] for lang in sorted({p.lang for p in plan.problems})}
    # Locked before containers of its name are made, and until its tables are written.
    with Journal(work.path) as journal:
        sandbox = await open_sandbox(
            job.sandbox.choice,
            needed,
            run_id=work.run_id,
            own_answers=job.own_answers,
            notify=console.info,
        )
        with _signals() as signals:
            try:
                with console.progress(plan) as emit:
                    models = {target.label: job.model(target, emit) for target in plan.targets}
                    pipeline = AttemptPipeline(plan, models, needed, sandbox, journal, work, emit)
                    job.begin(pipeline, await sandbox.versions())
                    ended = await _drive(pipeline, job.slots, signals)
            finally:
                await sandbox.aclose()
            try:
                return concluded(pipeline, ended, console)
            finally:
                ended.interrupted |= await _came(signals)


def _concluded(
    options: Options, pipeline: AttemptPipeline, ended: RunStatus, console: Console
) -> int:
    # Here and not above: what makes tables is slow to load, and no early fault must wait for it.
    from llmbench.runs.finish import finish_run

    code = finish_run(options.out, pipeline, ended, console)
    if ended.interrupted or pipeline.skipped or pipeline.infrastructure_errors:
        console.print("to ask again what has no score: llmbench --resume")
    return code


def read_problems(
    options: ProblemOptions, runners: Mapping[str, Runner]
) -> tuple[list[Problem], list[Problem]]:
    """All problems of the files, and those of them that were chosen.

    Raises:
        UsageError: a file has faults, or what was chosen is not there.
    """
    languages = {lang: runner.option_values for lang, runner in runners.items()}
    loaded = problem_files.load(options.paths, languages)
    return loaded, problem_files.select(loaded, langs=options.langs, only=options.only)


@contextmanager
def _signals() -> Iterator[Signals]:
    """Each Ctrl-C and SIGTERM as it comes; one that nobody waits for any more disturbs nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield _none()  # elsewhere no signal comes
        return
    import_module("llmbench.store.tables")  # polars takes Ctrl-C for its own when it is loaded
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        yield signals


async def _none() -> Signals:
    return
    yield


async def _came(signals: Signals) -> bool:
    """Whether a signal came that nobody has heeded; the event loop gets the time to pass it on."""
    with anyio.move_on_after(_PASS_ON_SECONDS):
        return await anext(signals, None) is not None
    return False


async def _drive(
    pipeline: AttemptPipeline,
    slots: Callable[[EndpointPlan], anyio.CapacityLimiter],
    signals: Signals,
) -> RunStatus:
    """Run all attempts; the first Ctrl-C drains, the second gives up what is in flight."""
    engine = Scheduler(pipeline.ask, pipeline.grade, max_sandboxes=pipeline.plan.max_sandboxes)
    shares = [
        Workload(
            groups, slots(endpoint), endpoint.concurrency, may_requeue=pipeline.plan.max_repairs > 0
        )
        for endpoint, groups in pipeline.workloads()
    ]
    ended = RunStatus()

    async def heed(tasks: TaskGroup) -> None:
        async for _ in signals:
            if ended.interrupted:
                tasks.cancel_scope.cancel()
                return
            ended.interrupted = True
            engine.drain()
            given_up = pipeline.drain()
            pipeline.emit(Draining(engine.in_flight - given_up))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heed, tasks)
            await engine.run(*shares)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        ours = group.subgroup(LlmbenchError)
        if ours is None:
            raise
        ended.failure = _first(ours)
    return ended


def _first(group: BaseExceptionGroup[LlmbenchError]) -> LlmbenchError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, LlmbenchError)
    return error
