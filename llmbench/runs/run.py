"""A run: its parts put together, the scheduler driven, signals obeyed."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from llmbench import problems as problem_files
from llmbench.attempt import AttemptPipeline, Prompter
from llmbench.completions import Completion
from llmbench.errors import LlmbenchError, SandboxError, UsageError
from llmbench.events import Draining, Listener
from llmbench.models.base import Model
from llmbench.models.hosting import Hosting
from llmbench.models.limits import RateLimiter
from llmbench.models.providers import machine_of
from llmbench.plan import WORK_FOLDER, EndpointPlan, Plan
from llmbench.records import Attempt, Problem, Target
from llmbench.reports.console import Console, RunStatus
from llmbench.runners import Runner, check_completions, load_all
from llmbench.runs import record, resume, signals, targets
from llmbench.runs.alternation import in_turns
from llmbench.runs.options import ProblemOptions, RunOptions
from llmbench.runs.signals import Signals, SignalSource
from llmbench.runs.tokens import tokens_needed
from llmbench.runs.view import RunView
from llmbench.sandboxes.base import Sandbox, SandboxSpec
from llmbench.sandboxes.kinds import SANDBOX_KINDS
from llmbench.sandboxes.open import open_sandbox
from llmbench.scheduler import Scheduler, Workload
from llmbench.store import result_paths
from llmbench.store.cache import Cache
from llmbench.store.journal import CompletionEntry, Entry, Journal
from llmbench.store.journal_index import JournalIndex
from llmbench.store.run_dir import RunDirectory
from llmbench.texts import counted

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_IDS = 5
"""Problems that a warning names."""


def _own_slots(endpoint: EndpointPlan) -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(endpoint.concurrency)


@dataclass(frozen=True, slots=True)
class RunJob:
    """Everything that a run is made of.

    `open_model` makes the client of a target. `slots` returns the limiter of the answers that
    stream at once at an endpoint. `begin` is called before the first request, with the versions of
    the programs that run the tests. `trusted` is True when every answer is one of our own.
    `use_cache` also looks for answers in the journals of other runs. With `alternate`, tests wait
    while a model on this machine answers.
    """

    plan: Plan
    directory: RunDirectory
    runners: Mapping[str, Runner]
    open_model: Callable[[Target, Listener], Model]
    slots: Callable[[EndpointPlan], anyio.CapacityLimiter] = _own_slots
    begin: Callable[["Run", Mapping[str, str]], None] = lambda run, versions: None
    sandbox: SandboxSpec = field(default_factory=SandboxSpec)
    trusted: bool = False
    use_cache: bool = False
    hosting: Hosting = field(default_factory=Hosting)
    alternate: bool = False

    @property
    def needed_runners(self) -> dict[str, Runner]:
        """The languages of the plan's problems."""
        langs = sorted({problem.lang for problem in self.plan.problems})
        return {lang: self.runners[lang] for lang in langs}


@dataclass
class Run:
    """A run under way or ended: its plan, what it has, and how it ended."""

    plan: Plan
    directory: RunDirectory
    prompter: Prompter
    sandbox: Sandbox
    models: Mapping[str, Model]
    view: RunView
    pipeline: AttemptPipeline
    status: RunStatus = field(default_factory=RunStatus)


Finish = Callable[[Run, Console], T]
"""Ends a run: writes its tables, prints its summary, and returns a result."""


async def run(
    options: RunOptions,
    finish: Finish[T],
    console: Console,
    *,
    open_signals: SignalSource = signals.of_process,
    rate_limiters: dict[str, RateLimiter] | None = None,
    sweep_step: str | None = None,
) -> T:
    """Ask models, test their answers, and return the result of `finish`.

    `open_signals` opens the signals that stop the run. `rate_limiters` are those of each server
    address so far, where a run follows another. `sweep_step` names the step of a sweep.

    Raises:
        LlmbenchError: the run cannot begin, or `finish` raises it.
    """
    if options.dry_run:
        raise UsageError("dry_run is an option of the command line: llmbench run --dry-run")
    runners = load_all(options.runner_paths)
    _, chosen = load_problems(options, runners)
    problems = targets.with_recorded_answers(options, chosen)
    result_paths.check(options.out)
    limiters = {} if rate_limiters is None else rate_limiters
    resuming = options.resume is not None
    async with targets.open_targets(options, problems, console, limiters, resuming) as opened:
        plan = plan_of(options, opened.endpoints, problems)

        def begin(run: Run, versions: Mapping[str, str]) -> None:
            if resuming:
                opened.check_reached(resume.report_resume(run, versions, console))
            stored = record.stored_options(options, plan)
            record.begin(run, versions, stored, sweep_step, opened.price_record())

        job = RunJob(
            plan=plan,
            directory=RunDirectory(WORK_FOLDER, options.resume),
            runners=runners,
            sandbox=options.spec,
            open_model=opened.open_model,
            slots=opened.slots,
            begin=begin,
            trusted=plan.replayed,
            use_cache=options.cache,
            hosting=opened.hosting,
            alternate=options.alternate and not SANDBOX_KINDS[options.sandbox].remote,
        )
        return await run_job(job, console, finish, open_signals)


def plan_of(
    options: RunOptions, endpoints: tuple[EndpointPlan, ...], problems: Sequence[Problem]
) -> Plan:
    """Return the plan of a run with these options."""
    return Plan(
        endpoints=endpoints,
        problems=tuple(problems),
        runs=options.most_runs,
        max_sandboxes=options.sandbox_slots,
        test_timeout=options.test_timeout,
        max_cost=options.max_cost,
        max_repairs=options.max_repairs,
        until=options.until,
    )


async def run_job(
    job: RunJob,
    console: Console,
    finish: Finish[T],
    open_signals: SignalSource = signals.of_process,
) -> T:
    """Do all attempts of a plan, and return the result of `finish`.

    `run.status.interrupted` is also set when Ctrl-C arrives while `finish` writes results, so that
    the caller does not go on to its next run.

    Raises:
        LlmbenchError: there is no sandbox or no run directory, or `finish` raises it.
    """
    # The journal's lock is taken before containers get the run's name, and kept until the tables
    # are written.
    with Journal(job.directory.path) as journal:
        sandbox = await open_sandbox(
            job.sandbox,
            job.needed_runners,
            run_id=job.directory.run_id,
            own_answers=job.trusted,
            notify=console.info,
            warn=console.warn,
        )
        _warn_of_unusable(job.plan, sandbox, console)
        with open_signals() as received:
            try:
                with console.progress(job.plan) as emit:
                    run = assemble(job, sandbox, journal, emit, console.warn)
                    await job.hosting.check_contexts(tokens_needed(run))
                    job.begin(run, await sandbox.versions())
                    await _drive(run, job, received)
            finally:
                await sandbox.aclose()
            try:
                return finish(run, console)
            finally:
                run.status.interrupted |= await signals.has_come(received)


def _warn_of_unusable(plan: Plan, sandbox: Sandbox, console: Console) -> None:
    """Warn of the problems that this sandbox cannot judge, before anything is asked."""
    by_reason: dict[str, list[str]] = {}
    for problem in plan.problems:
        try:
            sandbox.check_options(problem.lang, problem.options)
        except SandboxError as error:
            by_reason.setdefault(str(error), []).append(problem.id)
    for reason, ids in by_reason.items():
        names = ", ".join(ids[:MOST_IDS]) + (", …" * (len(ids) > MOST_IDS))
        problems = counted(len(ids), "problem gets", "problems get")
        console.warn(f"{problems} no score and no request ({names}): {reason}")


def assemble(
    job: RunJob,
    sandbox: Sandbox,
    journal: Journal,
    emit: Listener,
    on_damage: Callable[[str], None],
) -> Run:
    """Put the parts of a run together; `on_damage` is called for each damaged journal line."""
    plan = job.plan
    prompter = Prompter(job.needed_runners, plan.test_timeout)
    view = RunView(plan, prompter, JournalIndex(journal.path, on_damage))
    models = {target.label: job.open_model(target, emit) for target in plan.targets}
    cached = Cache(WORK_FOLDER, journal.path) if job.use_cache else None

    def write(entry: Entry) -> None:
        view.add(journal.append(entry), entry)

    def find_completion(attempt: Attempt, request_hash: str) -> Completion | None:
        completion = view.index.completion(request_hash)
        if completion is None and cached is not None:
            completion = cached.completion(request_hash)
            if completion is not None:
                write(CompletionEntry(attempt.key, completion, request_hash))
        return completion

    pipeline = AttemptPipeline(
        plan=plan,
        models=models,
        prompter=prompter,
        sandbox=sandbox,
        directory=job.directory,
        emit=emit,
        record=write,
        find_completion=find_completion,
        hosting=job.hosting,
        cost_usd=view.index.cost_usd,
    )
    return Run(plan, job.directory, prompter, sandbox, models, view, pipeline)


def load_problems(
    options: ProblemOptions, runners: Mapping[str, Runner]
) -> tuple[list[Problem], list[Problem]]:
    """Return all problems of the files, and those of them that were chosen.

    Raises:
        UsageError: a file has faults, or a choice matches nothing.
    """
    languages = {lang: runner.option_values for lang, runner in runners.items()}
    loaded = problem_files.load(options.problem_paths, languages)
    check_completions(loaded, runners)
    return loaded, problem_files.select(loaded, langs=options.langs, only=options.only)


async def _drive(run: Run, job: RunJob, received: Signals) -> None:
    """Run all attempts: the first Ctrl-C drains, the second cancels. Sets the run's status.

    A closed terminal may hang up more than once, which is one Ctrl-C: nobody is there to press it.
    """
    pipeline, status = run.pipeline, run.status
    ask, grade = in_turns(pipeline, run.plan, alternate=job.alternate)
    scheduler = Scheduler(ask, grade, max_sandboxes=run.plan.max_sandboxes)
    # Whether a run is added is decided on graded answers.
    graded_first = run.plan.max_repairs > 0 or run.plan.until is not None
    workloads = [
        [
            Workload(groups, job.slots(endpoint), endpoint.concurrency, graded_first)
            for endpoint, groups in sequence
        ]
        for sequence in _sequences(run.view.workloads())
    ]

    async def obey(tasks: TaskGroup) -> None:
        async for number in received:
            logger.info("received %s", number.name)
            if status.interrupted and number == signals.HANGUP:
                continue
            if status.interrupted:
                tasks.cancel_scope.cancel()
                return
            status.interrupted = True
            scheduler.drain()
            cancelled = pipeline.drain()
            pipeline.emit(Draining(scheduler.in_flight - cancelled))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(obey, tasks)
            await scheduler.run(*workloads)
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        ours = group.subgroup(LlmbenchError)
        if ours is None:
            raise
        status.failure = _first(ours)


def _sequences(
    workloads: Iterable[tuple[EndpointPlan, T]],
) -> Collection[Sequence[tuple[EndpointPlan, T]]]:
    """Return the workloads in sequences: local servers of one machine share its memory."""
    sequences: dict[object, list[tuple[EndpointPlan, T]]] = {}
    for number, (endpoint, groups) in enumerate(workloads):
        key = machine_of(endpoint.targets[0].base_url) if endpoint.local else number
        sequences.setdefault(key, []).append((endpoint, groups))
    return sequences.values()


def _first(group: BaseExceptionGroup[LlmbenchError]) -> LlmbenchError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, LlmbenchError)
    return error
