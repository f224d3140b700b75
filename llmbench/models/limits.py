"""Limits of one server: concurrency that adapts to its answers, and a rate per minute."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import anyio

from llmbench.completions import Usage

logger = logging.getLogger(__name__)

BACKOFF_FACTOR = 0.5
"""The concurrency is multiplied by this after an overload."""

TOLERANCE = 2.0
"""A local server is overloaded if its first token takes this many times its usual time."""

FIRST_TOKEN_SHARE = 0.1
"""Share of the remaining answer time that a first token may usually take. Prompts differ in
length, and some are in the server's cache, so the shortest time alone would call the others late.
A queue inside the server makes a token wait for whole answers, which takes far longer."""

SMOOTHING = 0.2
QUEUE_ALLOWANCE = 0.5
"""Share of an answer that may wait inside a local server; it lets the concurrency grow again."""

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """At most this many answers that stream at once, requests and tokens per minute."""

    concurrency: int
    rpm: float | None = None
    tpm: float | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one request, after a wait; `tokens` is the estimate counted for it."""

    waited_seconds: float
    tokens: float


class RateLimiter:
    """Spaces requests and their tokens evenly over the minute.

    It may serve several runs, one after the other, because the minute of a server spans them.
    `waited_seconds` is the sum of all waits of the present run.
    """

    def __init__(self) -> None:
        self._next_request_at = 0.0
        self._tokens_free_at = 0.0
        self.start_run(ServerLimits(1))

    def start_run(self, limits: ServerLimits) -> None:
        """Serve another run, with its own limits."""
        self._limits = limits
        self._mean_tokens = 0.0
        self._answers = 0
        self.waited_seconds = 0.0

    async def acquire(self) -> Permit:
        """Wait until the next request may be sent.

        The tokens of an answer are unknown at that time, so the mean so far is counted for it.
        """
        now = time.monotonic()
        at = max(now, self._next_request_at, self._tokens_free_at)
        if self._limits.rpm is not None:
            self._next_request_at = max(now, self._next_request_at) + MINUTE / self._limits.rpm
        self._count_tokens(self._mean_tokens, now)
        if at > now:
            self.waited_seconds += at - now
            await anyio.sleep(at - now)
        return Permit(at - now, self._mean_tokens)

    def record_usage(self, permit: Permit, usage: Usage) -> None:
        """Replace the estimate of a permit by the tokens that its request used."""
        tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        self._answers += 1
        self._mean_tokens += (tokens - self._mean_tokens) / self._answers
        self._count_tokens(tokens - permit.tokens, time.monotonic())

    def _count_tokens(self, tokens: float, now: float) -> None:
        if self._limits.tpm is not None:
            self._tokens_free_at = (
                max(now, self._tokens_free_at) + tokens * MINUTE / self._limits.tpm
            )


class AdaptiveConcurrency:
    """Adapts the number of answers that stream at once from one server; each holds one of `slots`.

    A cloud server refuses when it is overloaded. The number is then halved: once for all requests
    sent before, and not again during the wait that the server requested. It grows by one after as
    many answers as there are slots.

    A local server queues instead. The number begins at one and grows by one with each answer until
    first tokens come late. From then on it follows their time, smoothed, as does Gradient2Limit of
    Netflix's concurrency-limits: limit * clamp(TOLERANCE * usual / latest, 1/2, 1) +
    QUEUE_ALLOWANCE. The usual time is the shortest so far, or FIRST_TOKEN_SHARE of the rest of the
    answer if that is longer.
    """

    def __init__(
        self,
        name: str,
        limits: ServerLimits,
        *,
        local: bool = False,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        """Begin a run; pass the rate limiter of the previous run at this server, if any."""
        self.slots = anyio.CapacityLimiter(1 if local else limits.concurrency)
        self.rate_limiter = rate_limiter or RateLimiter()
        self.rate_limiter.start_run(limits)
        self._name = name
        self._max = limits.concurrency
        self._local = local
        self._limit = float(self.slots.total_tokens)
        self._ramping_up = local
        self._lowest = self._max
        self._overload_ends = 0.0
        self._overloads = 0
        self._shortest_ttft = float("inf")

    def on_overload(self, sent_at: float, server_wait: float | None = None) -> None:
        """Lower the limit after a refusal of a request sent at this monotonic time."""
        if sent_at >= self._overload_ends:
            self._overload_ends = time.monotonic() + (server_wait or 0.0)
            self._overloads += 1
            self._set_limit(self._limit * BACKOFF_FACTOR)
            # Also counts if the limit was at its minimum already, as a local server's is at first.
            self._lowest = min(self._lowest, int(self.slots.total_tokens))

    def on_success(self, ttft_seconds: float | None, llm_seconds: float) -> None:
        """Adapt the limit to a whole answer: its time to first token, if known, and in all."""
        if not self._local:
            self._set_limit(self._limit + 1 / self._limit)
        elif ttft_seconds:
            self._shortest_ttft = min(self._shortest_ttft, ttft_seconds)
            usual = max(self._shortest_ttft, FIRST_TOKEN_SHARE * (llm_seconds - ttft_seconds))
            gradient = max(0.5, min(1.0, TOLERANCE * usual / ttft_seconds))
            self._ramping_up = self._ramping_up and gradient == 1.0
            wanted = self._limit * gradient + QUEUE_ALLOWANCE
            smoothed = self._limit + SMOOTHING * (wanted - self._limit)
            self._set_limit(self._limit + 1 if self._ramping_up else smoothed)

    @property
    def limit_notes(self) -> Iterator[str]:
        """Notes for people, a line each; none if the server was never at its limit."""
        if self._overloads:
            times = "once" if self._overloads == 1 else f"{self._overloads} times"
            yield (
                f"{self._name} refused requests {times} because of its rate limit or load: "
                f"down to {self._lowest} of {self._max} answers at once"
            )
        elif self._lowest < self._max:
            yield (
                f"{self._name} made first tokens wait: down to {self._lowest} of {self._max} "
                "answers at once; a lower --concurrency gives truer times"
            )
        if self.rate_limiter.waited_seconds >= 1:
            seconds = self.rate_limiter.waited_seconds
            yield f"{self._name}: requests waited {seconds:.0f} s in total for the rate limit"

    def _set_limit(self, limit: float) -> None:
        self._limit = min(max(1.0, limit), float(self._max))
        slots = int(self._limit + 1e-9)
        if slots < self.slots.total_tokens:
            self._lowest = min(self._lowest, slots)
        if slots != self.slots.total_tokens:
            logger.debug("%s: at most %d answers at once from now on", self._name, slots)
            self.slots.total_tokens = slots
