"""`llmbench [run]`: ask, test, write, tell."""

import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus

from llmbench import config
from llmbench import problems as problem_files
from llmbench.attempt import Bench
from llmbench.cli import record, resume
from llmbench.cli.options import ProblemOptions, SandboxOptions
from llmbench.cli.options.run import Options
from llmbench.cli.screen import Ended, Screen
from llmbench.config import Plan
from llmbench.engine import Engine
from llmbench.errors import LlmbenchError, ModelError, TransientError, UsageError
from llmbench.events import Draining, Listener, Waiting
from llmbench.models import recorded
from llmbench.models.base import Model
from llmbench.models.chat import ChatModel
from llmbench.models.presets import PRESETS, key_of
from llmbench.models.pricing import Price, price_of, read_prices
from llmbench.models.retry import Retries
from llmbench.models.server import Offer, Server, choose_model, connect
from llmbench.records import Problem, Sampling, Target
from llmbench.sandboxes.base import EngineOptions
from llmbench.sandboxes.choose import open_sandbox
from llmbench.sandboxes.runners import Runner, load_runners
from llmbench.store import outputs
from llmbench.store.cache import Cache
from llmbench.store.journal import Journal
from llmbench.store.ledger import Ledger
from llmbench.store.work import WorkFolder

DEMO = "demo"

T = TypeVar("T", covariant=True)


@dataclass(frozen=True, slots=True)
class Job:
    """What a run does, and with which parts: `model` makes the client of a target.

    `own_answers` says that every answer is a recorded one of our own. `begin` is called
    before anything is asked, with the versions of what runs the tests.
    """

    plan: Plan
    work: WorkFolder
    runners: Mapping[str, Runner]
    sandbox: SandboxOptions
    own_answers: bool
    model: Callable[[Target, Listener], Model]
    begin: Callable[[Bench, Mapping[str, str]], None]


class Concluded(Protocol[T]):
    """Ends a run: writes, tells, and returns what the caller wants of it."""

    def __call__(self, options: Options, bench: Bench, ended: Ended, screen: Screen, /) -> T:
        """End it."""


def main(options: Options) -> int:
    """Do a whole run and return the exit code."""
    return anyio.run(execute, resume.merged(options), _concluded)


async def execute(options: Options, concluded: Concluded[T]) -> T:
    """Do a whole run and return what `concluded` makes of it.

    Raises:
        LlmbenchError: the run cannot begin, or `concluded` says that it failed.
    """
    screen = Screen(options.quiet)
    runners = load_runners(config.shipped("runners"))
    _, problems = read_problems(options.problems, runners)
    outputs.check(options.out)
    given = read_prices(options.prices) if options.prices else {}
    async with _server(options, problems) as server:
        offers = await _offered(server, needed=not options.models)
        plan = _plan(options, server, problems, _models(options, server, offers, screen))
        prices = _prices(plan, given, offers)

        def model(target: Target, emit: Listener) -> ChatModel:
            return _model(target, server, prices.get(target.label), emit)

        def begin(bench: Bench, versions: Mapping[str, str]) -> None:
            if options.resume:
                bench.go_on(Ledger(bench.journal.path, screen.warn))
                resume.tell(bench, versions, screen)
            if options.cache:
                bench.cache = Cache(config.WORK_FOLDER, bench.journal.path)
            record.begin(bench, versions, resume.commands(options, plan), options.part_of)

        work = WorkFolder(config.WORK_FOLDER, options.resume)
        job = Job(plan, work, runners, options.sandbox, plan.recorded, model, begin)
        return await carry_out(job, screen, partial(concluded, options))


async def carry_out(job: Job, screen: Screen, concluded: Callable[[Bench, Ended, Screen], T]) -> T:
    """Do all attempts of a plan, and return what `concluded` makes of it.

    Raises:
        LlmbenchError: there is no sandbox or work folder, or `concluded` says that it failed.
    """
    plan, work = job.plan, job.work
    needed = {lang: job.runners[lang] for lang in sorted({p.lang for p in plan.problems})}
    # Locked before containers of its name are made, and until its tables are written.
    with Journal(work.path) as journal:
        sandbox = await open_sandbox(
            job.sandbox.kind,
            needed,
            run_id=work.run_id,
            own_answers=job.own_answers,
            notify=screen.note,
            engine=EngineOptions(job.sandbox.warm, job.sandbox.runtime),
        )
        try:
            with screen.progress(plan) as emit:
                models = {target.label: job.model(target, emit) for target in plan.targets}
                bench = Bench(plan, models, needed, sandbox, journal, work, emit)
                job.begin(bench, await sandbox.versions())
                ended = await _drive(bench)
        finally:
            await sandbox.aclose()
        return concluded(bench, ended, screen)


def _concluded(options: Options, bench: Bench, ended: Ended, screen: Screen) -> int:
    # Here and not above: what makes tables is slow to load, and no early fault must wait for it.
    from llmbench.cli.conclude import conclude

    return conclude(options.out, bench, ended, screen)


def _model(target: Target, server: Server, price: Price | None, emit: Listener) -> ChatModel:
    """A target's client; what its retries wait for is told."""

    def waiting(seconds: float, fault: TransientError) -> None:
        emit(Waiting(target.label, seconds, fault.retry_after, str(fault)))

    return ChatModel(target, server, Retries(notify=waiting), price)


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


@asynccontextmanager
async def _server(options: Options, problems: Sequence[Problem]) -> AsyncIterator[Server]:
    """The server to ask; for the demo, one of our own that replays recorded answers."""
    preset = PRESETS[options.provider]
    if preset.name == DEMO:
        async with (
            recorded.serve(problems) as replay,
            connect(preset, replay.base_url, limits=options.limits) as server,
        ):
            yield server
    else:
        key = key_of(preset)
        async with connect(preset, options.base_url, key, options.limits) as server:
            yield server


def _plan(
    options: Options, server: Server, problems: Sequence[Problem], models: Sequence[str]
) -> Plan:
    preset = server.preset
    # The demo's answer to run n is chosen by the seed, which makes a demo repeatable.
    seed = 1 if preset.name == DEMO and options.seed is None else options.seed
    sampling = Sampling(options.max_tokens, options.temperature, seed)
    # Its port is another one each time.
    address = "embedded" if preset.name == DEMO else server.base_url
    return Plan(
        targets=tuple(Target(preset.name, name, address, sampling) for name in models),
        problems=tuple(problems),
        runs=options.runs,
        concurrency=options.concurrency or preset.concurrency,
        sandboxes=options.sandbox.slots,
        test_timeout=options.sandbox.timeout,
        local=preset.local and preset.name != DEMO,
        recorded=preset.name == DEMO,
        max_cost=options.max_cost,
    )


def _prices(plan: Plan, given: Mapping[str, Price], offers: Sequence[Offer]) -> dict[str, Price]:
    """The price of each target that has one, by label.

    Raises:
        UsageError: the cost is to be bounded and a target has none.
    """
    offered = {offer.id: offer.price for offer in offers if offer.price is not None}
    prices = {}
    for target in plan.targets:
        price = price_of(target, given, offered)
        if price is not None:
            prices[target.label] = price
        elif plan.max_cost is not None:
            raise UsageError(
                f"--max-cost: the price of {target.label} is not known: give it in --prices FILE"
            )
    return prices


def _models(
    options: Options, server: Server, offers: Sequence[Offer], screen: Screen
) -> Sequence[str]:
    """The models named, or the only one there is."""
    offered = [offer.id for offer in offers]
    if server.preset.name == DEMO and not options.models:
        return offered
    if options.models:
        return options.models
    model = choose_model(offered, server.base_url)
    screen.note(f"asking {model}, the one chat model that {server.base_url} offers")
    return [model]


async def _offered(server: Server, *, needed: bool) -> list[Offer]:
    """What the server offers: it is asked in any case, to know that it is there."""
    try:
        return await server.list_models()
    except ModelError as error:
        # Not every server lists its models; one that cannot be reached has no use at all.
        if needed or str(error).startswith("cannot reach"):
            raise
        return []


async def _drive(bench: Bench) -> Ended:
    """Run all attempts; the first Ctrl-C drains, the second gives up what is in flight."""
    plan = bench.plan
    engine = Engine(bench.ask, bench.grade, concurrency=plan.concurrency, sandboxes=plan.sandboxes)
    ended = Ended()
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_heed_signals, tasks, engine, bench.emit, ended)
            await engine.run(bench.remaining())
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        ours = group.subgroup(LlmbenchError)
        if ours is None:
            raise
        ended.failure = _first(ours)
    return ended


async def _heed_signals(
    tasks: TaskGroup,
    engine: Engine[object, object],
    emit: Listener,
    ended: Ended,
    *,
    task_status: TaskStatus[None],
) -> None:
    if threading.current_thread() is not threading.main_thread():
        task_status.started()  # elsewhere no signal comes
        return
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if ended.interrupted:
                tasks.cancel_scope.cancel()
                return
            ended.interrupted = True
            engine.drain()
            emit(Draining(engine.in_flight))


def _first(group: BaseExceptionGroup[LlmbenchError]) -> LlmbenchError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, LlmbenchError)
    return error
