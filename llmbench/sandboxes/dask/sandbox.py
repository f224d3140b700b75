"""The sandbox of a Dask cluster: each submission runs in the sandbox of one of its workers.

The cluster provides workers and transport. The worker of a submission is chosen here: it was
probed and has a free thread, so that a broken worker cannot attract submissions.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
from llmbench.sandboxes.base import TRIES, OpenRequest, check_usable
from llmbench.sandboxes.dask import worker as dask_worker
from llmbench.sandboxes.dask.worker import WorkerInfo, WorkerRequest

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
PROBE_SECONDS = 600.0
"""Longest wait for a probe: the first setup of toolchains may take minutes."""
REFRESH_SECONDS = 1.0
"""Interval at which the scheduler is asked for its workers."""
PATIENCE_SECONDS = 60.0
"""Longest wait for a cluster that has no usable worker."""
MAX_LOST_WORKERS = 3
"""Workers that may die under a submission before it is given up."""
GRACE_SECONDS = 120.0
"""Time beyond the limit of its tests, for each try, that a submission may be on a worker."""


@dataclass(slots=True)
class _Worker:
    """A usable worker; this run does not use `free` of its threads."""

    info: WorkerInfo
    free: int


class _WorkerLostError(Exception):
    """The worker died under a submission."""


class DaskSandbox:
    """A sandbox that runs each submission on a worker, and on another if that one dies.

    Workers may join and leave at any time. A new worker is probed before it is used, and
    differences between workers are reported.
    """

    def __init__(
        self,
        client: Client,
        request: WorkerRequest,
        runners: Mapping[str, Runner],
        notify: Callable[[str], None],
    ) -> None:
        """Use the cluster of a connected client, which `aclose` closes."""
        self._client = client
        self._runners = runners
        self._request = request
        self._notify = notify
        self._stack = AsyncExitStack()
        self._workers: dict[str, _Worker] = {}
        self._refused: dict[str, str] = {}
        self._probing: set[str] = set()
        self._reported: set[str] = set()
        self._threads = anyio.CapacityLimiter(1)
        self._results: set[asyncio.Future[Any]] = set()
        self._last_usable = anyio.current_time()

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        """Connect to the scheduler, and probe its workers.

        Raises:
            NoSandboxError: no scheduler answers, or none of its workers can be used; says why.
        """
        address = request.spec.scheduler
        client = await _connect(address)
        # Each worker opens the best sandbox of its machine.
        spec = replace(request.spec, kind="auto", scheduler=None)
        digests = {lang: dask_worker.runner_digest(r) for lang, r in request.runners.items()}
        own = tuple(str(r.folder) for r in request.runners.values() if not r.bundled)
        order = WorkerRequest(request.run_id, spec, digests, own=own)
        sandbox = cls(client, order, request.runners, request.notify)
        try:
            await sandbox._probe(await sandbox._refresh_workers())
            if not sandbox._workers:
                raise NoSandboxError(f"{address}: {sandbox._no_worker_reason()}")
            tasks = await sandbox._stack.enter_async_context(anyio.create_task_group())
            sandbox._stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(sandbox._watch)
        except BaseException:
            await sandbox.aclose()
            raise
        return sandbox

    @property
    def name(self) -> str:
        """The name in result rows, with the sandboxes of the workers."""
        return "dask/" + "+".join(sorted({w.info.sandbox for w in self._workers.values()}))

    async def run(self, submission: Submission) -> Verdict:
        """Run the tests on a worker with a free thread, and on another if that one dies.

        Raises:
            SandboxError: the worker's sandbox failed, no worker remains, or several died.
        """
        for _ in range(MAX_LOST_WORKERS):
            with suppress(_WorkerLostError):
                async with self._acquire_worker(submission) as address:
                    return await self._run_on(address, submission)
        raise SandboxError(f"{MAX_LOST_WORKERS} workers died while they ran these tests")

    def check_options(self, lang: str, options: Mapping[str, str]) -> None:
        """Check that a worker can judge submissions of a language with these options.

        Raises:
            SandboxError: no worker can; says why one of them cannot.
        """
        refusals = []
        for address, worker in self._workers.items():
            try:
                check_usable(self._runners[lang], options, worker.info.unusable)
            except SandboxError as error:
                refusals.append(SandboxError(f"{address}: {error.message}", hint=error.hint))
        if refusals and len(refusals) == len(self._workers):
            raise refusals[0]

    def _able(self, submission: Submission) -> list[str]:
        """Return the workers with a free thread that can judge this submission."""
        self.check_options(submission.lang, submission.options)
        runner = self._runners[submission.lang]
        changed = {(runner.lang, name) for name in runner.changed_options(submission.options)}
        return [
            address
            for address, worker in self._workers.items()
            if worker.free and changed.isdisjoint(worker.info.unusable)
        ]

    async def versions(self) -> dict[str, str]:
        """Return the cluster, and the versions of its workers; with counts where they differ."""
        infos = self._infos()
        threads = sum(info.slots for info in infos)
        versions = {"cluster": f"Dask, {len(infos)} workers, {threads} threads"}
        for part, values in sorted(_values_by_part(infos).items()):
            versions[part] = _with_counts(values)
        return versions

    async def aclose(self) -> None:
        """Close this run's sandboxes on all workers, and the connection."""
        try:
            await self._stack.aclose()
        finally:
            with anyio.CancelScope(shield=True):
                await self._close()

    async def _close(self) -> None:
        # A dead scheduler answers nothing: the workers close idle sandboxes by themselves.
        with suppress(Exception), anyio.move_on_after(GRACE_SECONDS):
            close = dask_worker.close, self._request.run_id
            await self._client.run(*close, workers=list(self._workers))
        with suppress(Exception), anyio.move_on_after(CONNECT_SECONDS):
            await self._client.close()
        for result in self._results:
            result.cancel()

    def _infos(self) -> list[WorkerInfo]:
        return [worker.info for worker in self._workers.values()]

    @asynccontextmanager
    async def _acquire_worker(self, submission: Submission) -> AsyncIterator[str]:
        """Reserve a thread of the least busy worker, and yield the worker's address.

        Raises:
            SandboxError: there has been no usable worker for `PATIENCE_SECONDS`, or none of them
                can judge this submission.
        """
        async with self._threads:
            while not (able := self._able(submission)):
                if anyio.current_time() - self._last_usable > PATIENCE_SECONDS:
                    raise SandboxError(self._no_worker_reason())
                await anyio.sleep(REFRESH_SECONDS)
            address = max(able, key=lambda each: self._workers[each].free)
            worker = self._workers[address]
            worker.free -= 1
            try:
                yield address
            finally:
                worker.free += 1

    async def _run_on(self, address: str, submission: Submission) -> Verdict:
        limit = TRIES * (submission.timeout + GRACE_SECONDS)
        future = self._client.submit(
            dask_worker.grade,
            self._request,
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
        """Wait for the result of a worker, as long as the worker is there.

        The client fetches several results in one transfer. Cancelling one wait can cancel all
        others, and every later one. So each result has a task of its own that always completes.
        """
        result = asyncio.ensure_future(future.result())
        self._results.add(result)
        result.add_done_callback(self._discard_result)
        while not result.done():
            if address not in self._workers:
                raise _WorkerLostError
            await asyncio.wait([result], timeout=REFRESH_SECONDS)
        try:
            verdict = result.result()
        except SandboxError as error:
            raise SandboxError(f"{address}: {error.message}", hint=error.hint) from None
        except (FutureCancelledError, KilledWorker, asyncio.CancelledError):
            raise _WorkerLostError from None
        except Exception as error:  # any error of a worker's interpreter or its connection
            raise SandboxError(f"{address}: {_first_line(error)}") from error
        assert isinstance(verdict, Verdict)
        return verdict

    def _discard_result(self, result: "asyncio.Future[Any]") -> None:
        self._results.discard(result)
        if not result.cancelled():
            result.exception()  # marks it as seen: nobody may wait for it any more

    async def _watch(self) -> None:
        """Refresh the workers for ever; a slow setup of one worker delays no other."""
        async with anyio.create_task_group() as probes:
            while True:
                await anyio.sleep(REFRESH_SECONDS)
                probes.start_soon(self._probe, await self._refresh_workers())

    async def _refresh_workers(self) -> list[str]:
        """Ask the scheduler for its workers, drop those that are gone, and return the new ones."""
        current = await self._addresses()
        for address in self._workers.keys() - current:
            self._notify(f"worker {address} is gone: its tests run elsewhere")
            del self._workers[address]
        self._refused = {a: reason for a, reason in self._refused.items() if a in current}
        self._update_threads()
        return sorted(current - self._workers.keys() - self._refused.keys() - self._probing)

    def _update_threads(self) -> None:
        """Allow as many submissions at once as the workers have threads."""
        if self._workers:
            self._last_usable = anyio.current_time()
        self._threads.total_tokens = max(1, sum(info.slots for info in self._infos()))

    async def _addresses(self) -> set[str]:
        try:
            assert self._client.scheduler is not None  # it is connected
            with anyio.fail_after(CONNECT_SECONDS):
                identity = await self._client.scheduler.identity(n_workers=-1)
        except (OSError, TimeoutError):
            return set()
        return set(identity["workers"])

    async def _probe(self, addresses: list[str]) -> None:
        """Open the run's sandbox on these workers, and use those where it works."""
        if not addresses:
            return
        self._probing.update(addresses)
        try:
            with anyio.fail_after(PROBE_SECONDS):
                answers = await self._client.run(
                    dask_worker.probe, self._request, workers=addresses, on_error="return"
                )
        except (OSError, TimeoutError):
            return  # they are probed again if they are still there
        finally:
            self._probing.difference_update(addresses)
        for address, answer in answers.items():
            if isinstance(answer, WorkerInfo):
                self._workers[address] = _Worker(answer, answer.slots)
                logger.info("worker %s: %s, %d threads", address, answer.sandbox, answer.slots)
            elif not isinstance(answer, OSError):
                self._refused[address] = _refusal(answer)
                self._notify(f"worker {address} is not used: {self._refused[address]}")
        self._update_threads()
        self._report_differences()

    def _report_differences(self) -> None:
        infos = self._infos()
        lines = [
            f"workers differ in {part}, and may judge differently: {_with_counts(values)}"
            for part, values in sorted(_values_by_part(infos).items())
            if len(set(values)) > 1
        ]
        notes = Counter(note for info in infos for note in info.notes)
        lines += [f"on {count} workers: {note}" for note, count in notes.items()]
        for line in lines:
            if line not in self._reported:
                self._reported.add(line)
                self._notify(line)

    def _no_worker_reason(self) -> str:
        if self._refused:
            address, reason = next(iter(self._refused.items()))
            return f"no worker of the cluster can be used: {address} {reason}"
        return "the cluster has no worker: start some with `dask worker`"


async def _connect(address: str | None) -> Client:
    client = Client(address, asynchronous=True, timeout=CONNECT_SECONDS)
    try:
        await client
    except BaseException as error:
        with anyio.CancelScope(shield=True), suppress(Exception):
            await client.close()
        if not isinstance(error, OSError | ValueError):
            raise
        raise NoSandboxError(
            f"no Dask scheduler answers at {address} ({_first_line(error)})",
            hint="start one with `dask scheduler`, or correct --dask-scheduler",
        ) from None
    logger.info("connected to the Dask scheduler at %s", address)
    return client


def _values_by_part(infos: Sequence[WorkerInfo]) -> dict[str, list[str]]:
    """Each part with its version on each worker."""
    parts = {part for info in infos for part in info.versions}
    versions = {part: [info.versions.get(part, "none") for info in infos] for part in parts}
    return {"sandbox": [info.sandbox for info in infos], **versions}


def _with_counts(values: list[str]) -> str:
    """The distinct values, each with its count; one value alone without."""
    counts = Counter(values)
    if len(counts) == 1:
        return values[0]
    return ", ".join(f"{value} ({count})" for value, count in counts.most_common())


def _refusal(error: BaseException) -> str:
    if isinstance(error, SandboxError):
        return str(error)
    return f"it cannot load llmbench {__version__}: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
