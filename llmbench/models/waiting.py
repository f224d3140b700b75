"""Those that wait before a request is sent: for a retry, a turn, a slot, a model to be loaded."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from llmbench.errors import CancelledBeforeSendError, TransientError


class Waiter:
    """One attempt's place in a line: left while a request is under way, kept between tries."""

    def __init__(self, line: "WaitingRequests", scope: anyio.CancelScope) -> None:
        self._line = line
        self._scope = scope
        self._paid = False

    @contextmanager
    def sending(self) -> Iterator[None]:
        """A request goes on to its end.

        Raises:
            NotAskedError: the line is closed, or was when the request met a passing fault.
        """
        # Whose wait had just ended when the line was closed is not in it to be sent away.
        if not self._paid:
            self._line.check()
        self._line.waiting.discard(self._scope)
        try:
            yield
        except TransientError as fault:
            # What has cost something goes on to its row, which tells it.
            self._paid = self._paid or bool(fault.cost_usd)
            if not self._paid:
                self._line.check()
                self._line.waiting.add(self._scope)
            raise


class WaitingRequests:
    """All that wait at one target, until nothing more is asked of it."""

    def __init__(self) -> None:
        self.waiting: set[anyio.CancelScope] = set()
        self._closed = False

    def close(self) -> int:
        """Send all away that wait, now and later; returns how many wait now."""
        self._closed = True
        for scope in self.waiting:
            scope.cancel()
        return len(self.waiting)

    def check(self) -> None:
        """Go no further in a closed line.

        Raises:
            NotAskedError: it is closed.
        """
        if self._closed:
            raise CancelledBeforeSendError("nothing more is asked")

    @contextmanager
    def wait(self) -> Iterator[Waiter]:
        """A place in the line for the time of an attempt.

        Raises:
            NotAskedError: the line is closed.
        """
        self.check()
        with anyio.CancelScope() as scope:
            self.waiting.add(scope)
            try:
                yield Waiter(self, scope)
            finally:
                self.waiting.discard(scope)
        if scope.cancelled_caught:
            self.check()
