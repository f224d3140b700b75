"""A Dask cluster: each submission runs in the sandbox of one of its workers.

The cluster brings the workers and carries what goes to them and comes back. Which worker runs a
submission is chosen here: only one that was surveyed and has a free thread, so that a worker on
which nothing works cannot draw submissions to itself.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Self
from uuid import uuid4

import anyio
from distributed import Client
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker

from llmbench._version import __version__
from llmbench.errors import NoSandboxError, SandboxError
from llmbench.records import Submission, Verdict
from llmbench.runners import Runner
from llmbench.sandboxes.base import SandboxSpec
from llmbench.sandboxes.dask import worker as dask_worker
from llmbench.sandboxes.dask.worker import WorkerInfo, WorkerRequest
from llmbench.sandboxes.grading import TRIES

CONNECT_SECONDS = 10.0
SURVEY_SECONDS = 600.0
"""A worker's first set-up of local toolchains may take minutes."""
LOOK_SECONDS = 1.0
"""How often the cluster is asked who its workers are."""
PATIENCE_SECONDS = 60.0
"""How long a cluster without a usable worker is waited for."""
WORKERS_LOST = 3
"""A submission that saw so many workers die is not handed to another."""
GRACE_SECONDS = 120.0
"""How long beyond its tests, each time they are tried, a submission may be on a worker."""


@dataclass(slots=True)
class _Worker:
    """A worker that was surveyed; `free` of its threads are not in use by this run."""

    about: WorkerInfo
    free: int


class _LostError(Exception):
    """The worker died under a submission."""


class DaskSandbox:
    """Runs each submission in the sandbox of a worker; one that dies costs a further try.

    Workers may join and leave at any time. What joins is surveyed before it is used; what differs
    between workers is told.
    """

    def __init__(self, client: Client, order: WorkerRequest, notify: Callable[[str], None]) -> None:
        """Use the cluster of a connected client, which `aclose` closes."""
        self._client = client
        self._order = order
        self._notify = notify
        self._stack = AsyncExitStack()
        self._workers: dict[str, _Worker] = {}
        self._refused: dict[str, str] = {}
        self._surveyed: set[str] = set()
        self._told: set[str] = set()
        self._threads = anyio.CapacityLimiter(1)
        self._fetching: set[asyncio.Future[Any]] = set()
        self._alone_since = anyio.current_time()

    @classmethod
    async def open(
        cls,
        choice: SandboxSpec,
        runners: Mapping[str, Runner],
        run_id: str,
        notify: Callable[[str], None],
    ) -> Self:
        """Connect to the scheduler, and survey the workers there are.

        Raises:
            NoSandboxError: no scheduler answers, or none of its workers can be used; says why.
        """
        address = choice.scheduler
        client = await _connected(address)
        there = replace(choice, kind="auto", scheduler=None)
        states = {lang: dask_worker.runner_digest(runner) for lang, runner in runners.items()}
        sandbox = cls(client, WorkerRequest(run_id, there, states), notify)
        try:
            await sandbox._survey(await sandbox._look())
            if not sandbox._workers:
                raise NoSandboxError(f"{address}: {sandbox._why_none()}")
            watching = await sandbox._stack.enter_async_context(anyio.create_task_group())
            sandbox._stack.callback(watching.cancel_scope.cancel)
            watching.start_soon(sandbox._watch)
        except BaseException:
            await sandbox.aclose()
            raise
        return sandbox

    @property
    def name(self) -> str:
        """Where tests run, as rows say it."""
        return "dask/" + "+".join(sorted({w.about.sandbox for w in self._workers.values()}))

    async def run(self, submission: Submission) -> Verdict:
        """Run the tests on a worker that has a free thread; on another if that one dies.

        Raises:
            SandboxError: the worker's sandbox failed, or no worker is left, or several died.
        """
        for _ in range(WORKERS_LOST):
            with suppress(_LostError):
                async with self._thread() as worker:
                    return await self._run_on(worker, submission)
        raise SandboxError(f"{WORKERS_LOST} workers died while they ran these tests")

    async def versions(self) -> dict[str, str]:
        """The cluster, and what its workers have; where they differ, how many have what."""
        abouts = {address: worker.about for address, worker in self._workers.items()}
        threads = sum(about.slots for about in abouts.values())
        told = {"cluster": f"Dask, {len(abouts)} workers, {threads} threads"}
        for part, values in sorted(_parts(abouts).items()):
            told[part] = _counted(values)
        return told

    async def aclose(self) -> None:
        """Close this run's sandboxes on all workers, and the connection."""
        try:
            await self._stack.aclose()
        finally:
            with anyio.CancelScope(shield=True):
                await self._leave()

    async def _leave(self) -> None:
        # From a dead scheduler nothing can be had: the workers close what is idle by themselves.
        with suppress(Exception), anyio.move_on_after(GRACE_SECONDS):
            leave = dask_worker.close, self._order.run_id
            await self._client.run(*leave, workers=list(self._workers))
        with suppress(Exception), anyio.move_on_after(CONNECT_SECONDS):
            await self._client.close()
        for fetching in self._fetching:
            fetching.cancel()

    @asynccontextmanager
    async def _thread(self) -> AsyncIterator[str]:
        """A free thread of a worker: its address.

        Raises:
            SandboxError: there has been no usable worker for too long.
        """
        async with self._threads:
            while not any(worker.free for worker in self._workers.values()):
                if anyio.current_time() - self._alone_since > PATIENCE_SECONDS:
                    raise SandboxError(self._why_none())
                await anyio.sleep(LOOK_SECONDS)
            address, worker = max(self._workers.items(), key=lambda item: item[1].free)
            worker.free -= 1
            try:
                yield address
            finally:
                worker.free += 1

    async def _run_on(self, address: str, submission: Submission) -> Verdict:
        limit = TRIES * (submission.timeout + GRACE_SECONDS)
        future = self._client.submit(
            dask_worker.grade,
            self._order,
            submission,
            workers=[address],
            pure=False,
            key=f"llmbench-{uuid4().hex}",
        )
        try:
            with anyio.move_on_after(limit):
                return await self._verdict(future, address)
        finally:
            future.release()
        raise SandboxError(f"{address} gave no verdict within {limit:g} s: it hangs or is busy")

    async def _verdict(self, future: Any, address: str) -> Verdict:
        """What the worker says, as long as it is there.

        The client fetches in one transfer what several wait for: a wait that is cut short can end
        those of all others, and every later one, in a cancellation that nobody asked for. So each
        has a task of its own, which goes on to its end.
        """
        fetching = asyncio.ensure_future(future.result())
        self._fetching.add(fetching)
        fetching.add_done_callback(self._fetched)
        while not fetching.done():
            if address not in self._workers:
                raise _LostError
            await asyncio.wait([fetching], timeout=LOOK_SECONDS)
        try:
            verdict = fetching.result()
        except SandboxError as error:
            raise SandboxError(f"{address}: {error}") from None
        except (FutureCancelledError, KilledWorker, asyncio.CancelledError):
            raise _LostError from None
        except Exception as error:  # whatever a worker's interpreter or its connection throws
            raise SandboxError(f"{address}: {_first_line(error)}") from error
        assert isinstance(verdict, Verdict)
        return verdict

    def _fetched(self, fetching: "asyncio.Future[Any]") -> None:
        self._fetching.discard(fetching)
        if not fetching.cancelled():
            fetching.exception()  # nobody may be left to hear of it

    async def _watch(self) -> None:
        """Look again and again; a worker that sets itself up for minutes keeps nobody waiting."""
        async with anyio.create_task_group() as surveys:
            while True:
                await anyio.sleep(LOOK_SECONDS)
                surveys.start_soon(self._survey, await self._look())

    async def _look(self) -> list[str]:
        """Ask the scheduler who is there; forget who is gone, and say who is new."""
        there = await self._addresses()
        for address in self._workers.keys() - there:
            self._notify(f"worker {address} is gone: its tests run elsewhere")
            del self._workers[address]
        self._refused = {a: why for a, why in self._refused.items() if a in there}
        self._count()
        return sorted(there - self._workers.keys() - self._refused.keys() - self._surveyed)

    def _count(self) -> None:
        """Hand out as many threads as the workers have."""
        if self._workers:
            self._alone_since = anyio.current_time()
        slots = sum(worker.about.slots for worker in self._workers.values())
        self._threads.total_tokens = max(1, slots)

    async def _addresses(self) -> set[str]:
        try:
            assert self._client.scheduler is not None  # it is connected
            with anyio.fail_after(CONNECT_SECONDS):
                about = await self._client.scheduler.identity(n_workers=-1)
        except (OSError, TimeoutError):
            return set()
        return set(about["workers"])

    async def _survey(self, addresses: list[str]) -> None:
        """Find out which of these workers can be used, and use those."""
        if not addresses:
            return
        self._surveyed.update(addresses)
        try:
            with anyio.fail_after(SURVEY_SECONDS):
                said = await self._client.run(
                    dask_worker.probe, self._order, workers=addresses, on_error="return"
                )
        except (OSError, TimeoutError):
            return  # they are asked again, if they are still there
        finally:
            self._surveyed.difference_update(addresses)
        for address, about in said.items():
            if isinstance(about, WorkerInfo):
                self._workers[address] = _Worker(about, about.slots)
            elif not isinstance(about, OSError):
                self._refused[address] = _reason(about)
                self._notify(f"worker {address} is not used: {self._refused[address]}")
        self._count()
        self._tell_differences()

    def _tell_differences(self) -> None:
        abouts = {address: worker.about for address, worker in self._workers.items()}
        lines = [
            f"workers differ in {part}, and may judge differently: {_counted(values)}"
            for part, values in sorted(_parts(abouts).items())
            if len(set(values)) > 1
        ]
        notes = Counter(note for about in abouts.values() for note in about.notes)
        lines += [f"on {count} workers: {note}" for note, count in notes.items()]
        for line in lines:
            if line not in self._told:
                self._told.add(line)
                self._notify(line)

    def _why_none(self) -> str:
        if self._refused:
            address, reason = next(iter(self._refused.items()))
            return f"no worker of the cluster can be used: {address} {reason}"
        return "the cluster has no worker: start some with `dask worker`"


async def _connected(address: str | None) -> Client:
    client = Client(address, asynchronous=True, timeout=CONNECT_SECONDS)
    try:
        await client
    except BaseException as error:
        with anyio.CancelScope(shield=True), suppress(Exception):
            await client.close()
        if not isinstance(error, OSError | ValueError):
            raise
        raise NoSandboxError(
            f"no Dask scheduler answers at {address} ({_first_line(error)}): start one with "
            "`dask scheduler`, or correct --dask"
        ) from None
    return client


def _parts(abouts: Mapping[str, WorkerInfo]) -> dict[str, list[str]]:
    """What each worker says of each part."""
    parts = {name for about in abouts.values() for name in about.versions}
    told = {part: [about.versions.get(part, "none") for about in abouts.values()] for part in parts}
    return {"sandbox": [about.sandbox for about in abouts.values()], **told}


def _counted(values: list[str]) -> str:
    """The values, each with how many have it, unless all have the same."""
    counts = Counter(values)
    if len(counts) == 1:
        return values[0]
    return ", ".join(f"{value} ({count})" for value, count in counts.most_common())


def _reason(error: BaseException) -> str:
    if isinstance(error, SandboxError):
        return str(error)
    return f"it cannot load llmbench {__version__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    lines: Iterator[str] = iter(str(error).splitlines())
    return next(lines, type(error).__name__)
