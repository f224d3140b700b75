"""The part that runs on the workers of a Dask cluster: a run's sandbox and its submissions.

A worker opens the best sandbox of its machine at the first request of a run. It closes the sandbox
when the run ends or has sent nothing for a while.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from distributed import Worker

from llmbench._version import __version__
from llmbench.errors import SandboxError
from llmbench.records import Submission, Verdict
from llmbench.runners import Runner, load_all
from llmbench.sandboxes.base import BaseSandbox, OpenRequest, SandboxSpec, Unusable
from llmbench.sandboxes.local import toolchains
from llmbench.sandboxes.local_kinds import open_auto

logger = logging.getLogger(__name__)

IDLE_SECONDS = 120.0
"""Time without a submission after which a run may be dead: its sandbox is closed on the worker."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """The run that sends submissions to a worker, and its requirements.

    `digests` has a hash of each language's runner folder, and `version` is that of llmbench: a
    worker with other ones might judge differently. `own` are the folders of languages that
    llmbench does not bring; a worker reads them from the same paths.
    """

    run_id: str
    spec: SandboxSpec
    digests: Mapping[str, str]
    version: str = __version__
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker's concurrent submissions, the name of its sandbox, versions, and notes.

    `unusable` are the options that its sandbox cannot judge.
    """

    slots: int
    sandbox: str
    versions: Mapping[str, str]
    notes: tuple[str, ...]
    unusable: Unusable


@dataclass(eq=False)
class _OpenSandbox:
    """The open sandbox of one run, its notes from opening, and its running submissions."""

    sandbox: BaseSandbox
    notes: tuple[str, ...]
    running: dict[anyio.CancelScope, anyio.Event] = field(default_factory=dict)
    last_used: float = field(default_factory=anyio.current_time)
    idle_watch: asyncio.Task[None] | None = None


_open_sandboxes: dict[str, _OpenSandbox] = {}
_opening = anyio.Lock()


def runner_digest(runner: Runner) -> str:
    """Return a hash of a language's runner folder, the same on every machine."""
    return toolchains.digest(runner.folder, ())


async def probe(request: WorkerRequest, dask_worker: Worker | None = None) -> WorkerInfo:
    """Open the sandbox of a run on this worker, and describe it.

    Raises:
        SandboxError: this worker has another llmbench or other runners, or no sandbox works here.
    """
    assert dask_worker is not None
    opened = await _get_sandbox(request)
    sandbox = opened.sandbox
    slots = dask_worker.state.nthreads
    versions = await sandbox.versions()
    return WorkerInfo(slots, sandbox.name, versions, opened.notes, sandbox.unusable)


async def grade(request: WorkerRequest, submission: Submission) -> Verdict:
    """Run one submission in the sandbox of this worker.

    Raises:
        SandboxError: the sandbox failed, not the code in it, or the run has ended.
    """
    opened = await _get_sandbox(request)
    with anyio.CancelScope() as scope:
        done = opened.running[scope] = anyio.Event()
        try:
            return await opened.sandbox.run(submission)
        finally:
            del opened.running[scope]
            opened.last_used = anyio.current_time()
            done.set()
    raise SandboxError("the run has ended")


async def close(run_id: str) -> None:
    """Cancel the submissions of a run on this worker, and close its sandbox."""
    async with _opening:
        opened = _open_sandboxes.pop(run_id, None)
        if opened is None:
            return
        watch = opened.idle_watch
        if watch is not None and watch is not asyncio.current_task():
            watch.cancel()
        for scope, done in list(opened.running.items()):
            scope.cancel()
            await done.wait()
        await opened.sandbox.aclose()
        logger.info("closed the sandbox of run %s", run_id)


async def _get_sandbox(request: WorkerRequest) -> _OpenSandbox:
    async with _opening:
        opened = _open_sandboxes.get(request.run_id)
        if opened is None:
            opened = _open_sandboxes[request.run_id] = await _open(request)
            watch = asyncio.create_task(_close_when_idle(request.run_id, opened))
            opened.idle_watch = watch
        opened.last_used = anyio.current_time()
        return opened


async def _open(request: WorkerRequest) -> _OpenSandbox:
    if request.version != __version__:
        raise SandboxError(f"has llmbench {__version__}, not {request.version}")
    runners = load_all([path for path in map(Path, request.own) if path.is_dir()])
    own = {Path(path).name: path for path in request.own}
    for lang, digest in request.digests.items():
        if lang not in runners or runner_digest(runners[lang]) != digest:
            hint = f"copy {own[lang]} there" if lang in own else "install the same llmbench there"
            raise SandboxError(f"has another runners/{lang}", hint=hint)
    notes: list[str] = []
    needed = {lang: runners[lang] for lang in request.digests}
    sandbox = await open_auto(
        OpenRequest(request.spec, needed, request.run_id, False, notes.append, notes.append)
    )
    logger.info("opened sandbox %s of run %s", sandbox.name, request.run_id)
    return _OpenSandbox(sandbox, tuple(notes))


async def _close_when_idle(run_id: str, opened: _OpenSandbox) -> None:
    """Close the sandbox of a run that may be dead; the next submission would open a new one."""
    while True:
        await anyio.sleep(IDLE_SECONDS / 10)
        if not opened.running and anyio.current_time() - opened.last_used > IDLE_SECONDS:
            return await close(run_id)
