"""The retry policy of every model: the errors to retry, and the wait before each."""

import logging
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

from llmbench.completions import Completion
from llmbench.errors import ModelError, TransientError
from llmbench.models.pricing import total

logger = logging.getLogger(__name__)

JITTER = 0.1
"""Share by which a wait requested by the server is lengthened, so that retries spread out."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Number of tries and the waits between them; all times are in seconds.

    The n-th wait is drawn from 0 to `first_wait` * 2^(n-1), at most `max_wait`. A wait that the
    server requests (Retry-After) is a lower bound, itself bounded by `max_server_wait`. `sleep`
    does the waiting. `notify` is called before each wait with its seconds and the error that caused
    it. A target is stopped once `outage_attempts` in a row failed in all their tries, the first of
    them at least `outage_seconds` ago. It is also stopped once the server refused
    `refusal_prompts` different prompts in the same words without an answer between; if the words do
    not show that the refusal lasts, the first must be at least `refusal_seconds` ago.
    """

    max_tries: int = 5
    first_wait: float = 2.0
    max_wait: float = 60.0
    max_server_wait: float = 120.0
    outage_attempts: int = 5
    outage_seconds: float = 300.0
    refusal_prompts: int = 3
    refusal_seconds: float = 60.0
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    notify: Callable[[float, TransientError], None] = lambda seconds, error: None

    async def run(
        self,
        send: Callable[[], Awaitable[Completion]],
        slot: AbstractAsyncContextManager[object],
    ) -> Completion:
        """Call `send` until it returns a whole answer; `slot` is held during each try only.

        The completion includes the failed tries: their requests in `requests`, their cost in
        `cost_usd` and the waits for the slot in `queue_seconds`. An error has the requests and the
        cost of all tries.

        Raises:
            TransientError: All tries failed; the error of the last one.
        """
        failed_requests = 0
        failed_cost: float | None = None
        queue_seconds = 0.0

        async def one_try() -> Completion:
            nonlocal failed_requests, failed_cost, queue_seconds
            began = time.monotonic()
            async with slot:
                queue_seconds += time.monotonic() - began
                try:
                    return await send()
                except ModelError as error:
                    failed_requests += error.requests
                    failed_cost = total(failed_cost, error.cost_usd)
                    raise

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(self.max_tries),
            wait=self._wait_seconds,
            sleep=self.sleep,
            before_sleep=self._notify,
            retry_error_callback=_raise_last,
        )
        try:
            completion: Completion = await retrying(one_try)
        except ModelError as error:
            error.requests, error.cost_usd = failed_requests, failed_cost
            raise
        return replace(
            completion,
            requests=completion.requests + failed_requests,
            cost_usd=total(completion.cost_usd, failed_cost),
            queue_seconds=completion.queue_seconds + queue_seconds,
        )

    def _notify(self, state: RetryCallState) -> None:
        error = _error_of(state)
        if error is not None and state.next_action is not None:
            seconds = state.next_action.sleep
            logger.info("try %d failed, retry in %.1f s: %s", state.attempt_number, seconds, error)
            self.notify(seconds, error)

    def _wait_seconds(self, state: RetryCallState) -> float:
        backoff = wait_random_exponential(multiplier=self.first_wait, max=self.max_wait)(state)
        error = _error_of(state)
        if error is None or error.retry_after is None:
            return backoff
        server_wait = min(error.retry_after, self.max_server_wait)
        return max(backoff, server_wait * (1 + JITTER * random.random()))


def _error_of(state: RetryCallState) -> TransientError | None:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, TransientError) else None


def _raise_last(state: RetryCallState) -> None:
    error = _error_of(state)
    assert error is not None
    tries = state.attempt_number
    if tries == 1:
        raise error
    last = type(error)(
        f"{error.message} (after {tries} tries)",
        hint=error.hint,
        source=error.source,
        retry_after=error.retry_after,
        overload=error.overload,
        loading=error.loading,
    )
    last.refusal, last.lasts = error.refusal, error.lasts
    raise last
