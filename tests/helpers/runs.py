"""Runs assembled from parts of a test, without a command line."""

from collections.abc import Callable, Mapping

import anyio
import pytest

from llmbench.events import Event, ignore
from llmbench.models.base import Model
from llmbench.plan import Plan, bundled_dir
from llmbench.runners import load_runners
from llmbench.runs.run import Run, RunJob, assemble
from llmbench.sandboxes.base import Sandbox
from llmbench.scheduler import Scheduler, Workload
from llmbench.store.journal import Journal
from llmbench.store.run_dir import RunDirectory

RUNNERS = load_runners(bundled_dir("runners"))


def assembled(
    plan: Plan,
    models: Mapping[str, Model],
    sandbox: Sandbox,
    journal: Journal,
    directory: RunDirectory,
    emit: Callable[[Event], None] = ignore,
) -> Run:
    """Return a run of these parts that continues what its journal holds."""
    job = RunJob(
        plan=plan,
        directory=directory,
        runners=RUNNERS,
        open_model=lambda target, _: models[target.label],
    )
    run = assemble(job, sandbox, journal, emit, pytest.fail)
    run.view.resume(lambda change: None)
    return run


async def drive(run: Run, *, sandboxes: int = 1, slots: int = 1) -> None:
    """Do everything that remains of a run."""
    scheduler = Scheduler(run.pipeline.ask, run.pipeline.grade, max_sandboxes=sandboxes)
    for endpoint, groups in run.view.workloads():
        limiter = anyio.CapacityLimiter(slots)
        await scheduler.run(Workload(groups, limiter, endpoint.concurrency))
