"""What runs on the workers of a Dask cluster: the sandbox of a run there, and its submissions.

Each worker opens the best sandbox that its machine has, when it is first asked, and closes it when
the run leaves or has handed it nothing for a while.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
from distributed import Worker

from llmbench import plan
from llmbench._version import __version__
from llmbench.errors import SandboxError
from llmbench.records import Submission, Verdict
from llmbench.runners import Runner, load_runners
from llmbench.sandboxes.base import Sandbox, SandboxSpec
from llmbench.sandboxes.local import toolchains
from llmbench.sandboxes.open import open_sandbox

IDLE_SECONDS = 120.0
"""A run that has handed a worker nothing for so long may be dead: its sandbox is closed there."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """What a run wants of each worker.

    `runners` has the state of each language's runner folder, and `version` is that of llmbench: a
    worker with another one might judge otherwise.
    """

    run_id: str
    choice: SandboxSpec
    runners: Mapping[str, str]
    version: str = __version__


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker says of itself: submissions it serves at once, its sandbox, versions."""

    slots: int
    sandbox: str
    versions: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(eq=False)
class _OpenSandbox:
    """The open sandbox of one run, what it said when it opened, and what runs in it."""

    sandbox: Sandbox
    notes: tuple[str, ...]
    running: dict[anyio.CancelScope, anyio.Event] = field(default_factory=dict)
    used: float = field(default_factory=anyio.current_time)
    watch: asyncio.Task[None] | None = None


_places: dict[str, _OpenSandbox] = {}
_opening = anyio.Lock()


def runner_digest(runner: Runner) -> str:
    """A name for the state of a language's runner folder, the same on every machine."""
    return toolchains.digest(runner.folder, ())


async def probe(order: WorkerRequest, dask_worker: Worker | None = None) -> WorkerInfo:
    """Open the sandbox of a run on this worker, and say what is here.

    Raises:
        SandboxError: this worker has another llmbench or other runners, or no sandbox works here.
    """
    assert dask_worker is not None
    place = await _place(order)
    versions = await place.sandbox.versions()
    return WorkerInfo(dask_worker.state.nthreads, place.sandbox.name, versions, place.notes)


async def grade(order: WorkerRequest, submission: Submission) -> Verdict:
    """Run one submission in the sandbox of this worker.

    Raises:
        SandboxError: the sandbox failed, not the code in it, or the run has left.
    """
    place = await _place(order)
    with anyio.CancelScope() as scope:
        ended = place.running[scope] = anyio.Event()
        try:
            return await place.sandbox.run(submission)
        finally:
            del place.running[scope]
            place.used = anyio.current_time()
            ended.set()
    raise SandboxError("the run has ended")


async def close(run_id: str) -> None:
    """Give up what is left of a run on this worker, and close its sandbox."""
    async with _opening:
        place = _places.pop(run_id, None)
        if place is None:
            return
        if place.watch is not None and place.watch is not asyncio.current_task():
            place.watch.cancel()
        for scope, ended in list(place.running.items()):
            scope.cancel()
            await ended.wait()
        await place.sandbox.aclose()


async def _place(order: WorkerRequest) -> _OpenSandbox:
    async with _opening:
        place = _places.get(order.run_id)
        if place is None:
            place = _places[order.run_id] = await _open(order)
            place.watch = asyncio.create_task(_close_when_idle(order.run_id, place))
        place.used = anyio.current_time()
        return place


async def _open(order: WorkerRequest) -> _OpenSandbox:
    if order.version != __version__:
        raise SandboxError(f"has llmbench {__version__}, not {order.version}")
    here = load_runners(plan.bundled_dir("runners"))
    for lang, wanted in order.runners.items():
        if lang not in here or runner_digest(here[lang]) != wanted:
            raise SandboxError(f"has another runners/{lang}: install the same llmbench there")
    notes: list[str] = []
    sandbox = await open_sandbox(
        order.choice,
        {lang: here[lang] for lang in order.runners},
        run_id=order.run_id,
        own_answers=False,
        notify=notes.append,
    )
    return _OpenSandbox(sandbox, tuple(notes))


async def _close_when_idle(run_id: str, place: _OpenSandbox) -> None:
    """Close the sandbox of a run that may be dead; the next submission would open a new one."""
    while True:
        await anyio.sleep(IDLE_SECONDS / 10)
        if not place.running and anyio.current_time() - place.used > IDLE_SECONDS:
            return await close(run_id)
