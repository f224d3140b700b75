"""Requests that are not sent yet: they wait for a retry, a permit, a slot or a model to load."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from llmbench.errors import CancelledBeforeSendError, TransientError


class Waiter:
    """One attempt; it waits except while one of its requests is in flight."""

    def __init__(self, waiting: "WaitingRequests", scope: anyio.CancelScope) -> None:
        self._waiting = waiting
        self._scope = scope
        self._has_cost = False

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Protect a request in flight from `WaitingRequests.close`.

        Raises:
            CancelledBeforeSendError: `close` was called before, or during a request that failed.
        """
        # An attempt whose wait ended just before `close()` is no longer cancelled by its scope.
        if not self._has_cost:
            self._waiting.check_open()
        self._waiting.scopes.discard(self._scope)
        try:
            yield
        except TransientError as error:
            # An attempt that has cost something must reach its row, which records the cost.
            self._has_cost = self._has_cost or bool(error.cost_usd)
            if not self._has_cost:
                self._waiting.check_open()
                self._waiting.scopes.add(self._scope)
            raise


class WaitingRequests:
    """The attempts at one target that wait to send a request; `scopes` cancel their waits."""

    def __init__(self) -> None:
        self.scopes: set[anyio.CancelScope] = set()
        self._closed = False

    def close(self) -> int:
        """Cancel every wait, now and later; return the number of those cancelled now."""
        self._closed = True
        for scope in self.scopes:
            scope.cancel()
        return len(self.scopes)

    def check_open(self) -> None:
        """Do nothing while requests may be sent.

        Raises:
            CancelledBeforeSendError: `close` was called.
        """
        if self._closed:
            raise CancelledBeforeSendError("the run sends no further requests")

    @contextmanager
    def wait(self) -> Iterator[Waiter]:
        """Register an attempt for as long as it lasts.

        Raises:
            CancelledBeforeSendError: `close` was called before or meanwhile.
        """
        self.check_open()
        with anyio.CancelScope() as scope:
            self.scopes.add(scope)
            try:
                yield Waiter(self, scope)
            finally:
                self.scopes.discard(scope)
        if scope.cancelled_caught:
            self.check_open()
