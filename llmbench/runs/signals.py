"""The signals that stop a run: those of this process, or a Ctrl-C that another thread receives."""

import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from typing import Any

import anyio
from anyio.from_thread import BlockingPortal
from anyio.streams.memory import MemoryObjectSendStream

Signals = AsyncIterator[signal.Signals]
SignalSource = Callable[[], AbstractContextManager[Signals]]
"""Opens the signals of a run: those that come while the context lasts."""

HANGUP = getattr(signal, "SIGHUP", None)
"""The signal of a terminal that was closed; Windows has none."""

DELIVERY_SECONDS = 0.02
"""Time in which the event loop hands over a signal that has come."""


@contextmanager
def of_process() -> Iterator[Signals]:
    """Receive Ctrl-C, SIGTERM and SIGHUP; outside the main thread none comes.

    A hangup that is ignored, as under nohup, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _none()
        return
    import_module("llmbench.store.tables")  # polars takes over Ctrl-C when it is loaded
    numbers = [signal.SIGINT, signal.SIGTERM]
    if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
        numbers.append(HANGUP)
    with anyio.open_signal_receiver(*numbers) as signals:
        yield signals


async def _none() -> Signals:
    return
    yield


async def has_come(signals: Signals) -> bool:
    """True if a signal came that nobody has received."""
    with anyio.move_on_after(DELIVERY_SECONDS):
        return await anext(signals, None) is not None
    return False


class Relay:
    """Passes the Ctrl-C of the main thread on to a run on the thread of a portal.

    The first one drains the run, and the second cancels what is in flight. Before the run listens,
    and once more after the second, one cancels everything.
    """

    def __init__(self) -> None:
        self.received = 0
        self._stream: MemoryObjectSendStream[signal.Signals] | None = None
        self._ended = False

    @contextmanager
    def signals(self) -> Iterator[Signals]:
        """Open the signals for the run; a `SignalSource`."""
        send, receive = anyio.create_memory_object_stream[signal.Signals](2)
        self._stream = send
        try:
            with send, receive:
                yield receive
        finally:
            self._stream, self._ended = None, True

    @contextmanager
    def receiving(self, portal: BlockingPortal, future: Future[Any]) -> Iterator[None]:
        """Receive Ctrl-C in this thread while the context lasts, if it is the main thread.

        A Ctrl-C that the caller ignores stays ignored.
        """

        def deliver() -> None:
            self.received += 1
            if self._stream is not None and self.received <= 2:
                self._stream.send_nowait(signal.SIGINT)
            elif not self._ended:
                future.cancel()

        def handle(*_: object) -> None:
            with suppress(RuntimeError):  # the portal has stopped: the run is over
                portal.start_task_soon(deliver)

        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or not callable(signal.getsignal(signal.SIGINT)):
            yield
            return
        before = signal.signal(signal.SIGINT, handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
