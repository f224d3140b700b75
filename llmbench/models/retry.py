"""One retry layer over every model: what is tried again, when, and who waits meanwhile."""

import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

import anyio
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from llmbench.errors import ModelError, TransientError
from llmbench.models.pricing import total
from llmbench.records import Completion

JITTER = 0.1
"""Part by which a wait that a server asked for is lengthened, so that waiters do not return as
one."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a transient fault is met; all times are in seconds.

    Without word from the server the n-th wait is drawn from 0 to `first_wait` * 2^(n-1), at most
    `longest_wait`. A wait that the server asks for (Retry-After) is a lower bound, itself bounded
    by `longest_asked_wait`. `sleep` is what waits; `notify` hears of each wait before it begins:
    its seconds, and the fault that it follows. A target is given up once `lost_attempts` in a row
    failed in all their tries, the first of them begun `lost_seconds` ago or earlier.
    """

    attempts: int = 5
    first_wait: float = 2.0
    longest_wait: float = 60.0
    longest_asked_wait: float = 120.0
    lost_attempts: int = 5
    lost_seconds: float = 300.0
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    notify: Callable[[float, TransientError], None] = lambda seconds, fault: None

    async def run(
        self, ask: Callable[[], Awaitable[Completion]], slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """Ask until an answer is whole; `slot` is held during each try and free between tries.

        The requests of failed tries are added to the completion's `tries`, what they cost to its
        `cost_usd`, and the waits for the slot to its `queue_seconds`. A fault that ends it has
        the requests and the cost of all tries.

        Raises:
            TransientError: the fault of the last try, if all failed.
        """
        failed = 0
        lost: float | None = None
        queued = 0.0

        async def one_try() -> Completion:
            nonlocal failed, lost, queued
            asked = time.monotonic()
            async with slot:
                queued += time.monotonic() - asked
                try:
                    return await ask()
                except ModelError as fault:
                    failed += fault.requests
                    lost = total(lost, fault.cost_usd)
                    raise

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            sleep=self.sleep,
            before_sleep=self._tell,
            retry_error_callback=_give_up,
        )
        try:
            completion: Completion = await retrying(one_try)
        except ModelError as fault:
            fault.requests, fault.cost_usd = failed, lost
            raise
        return replace(
            completion,
            requests=completion.requests + failed,
            cost_usd=total(completion.cost_usd, lost),
            queue_seconds=completion.queue_seconds + queued,
        )

    def _tell(self, state: RetryCallState) -> None:
        fault = state.outcome.exception() if state.outcome else None
        if isinstance(fault, TransientError) and state.next_action is not None:
            self.notify(state.next_action.sleep, fault)

    def _wait(self, state: RetryCallState) -> float:
        backoff = wait_random_exponential(multiplier=self.first_wait, max=self.longest_wait)(state)
        fault = state.outcome.exception() if state.outcome else None
        asked = fault.retry_after if isinstance(fault, TransientError) else None
        if asked is None:
            return backoff
        asked = min(asked, self.longest_asked_wait)
        return max(backoff, asked * (1 + JITTER * random.random()))


def _give_up(state: RetryCallState) -> None:
    fault = state.outcome.exception() if state.outcome else None
    assert isinstance(fault, TransientError)
    tries = state.attempt_number
    if tries == 1:
        raise fault
    raise TransientError(f"{fault} (after {tries} tries)", retry_after=fault.retry_after)
