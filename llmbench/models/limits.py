"""How much one server is asked at once and per minute, found out from how it answers."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import anyio

from llmbench.records import Usage

BACKOFF_FACTOR = 0.5
"""What is left of a limit after an episode of refusals."""

TOLERANCE = 2.0
"""A local server is over-driven when its first token takes so many times its usual time."""

FIRST_TOKEN_SHARE = 0.1
"""Part of the time for the rest of an answer that a first token may usually take. Prompts differ
in length, and some are in the server's cache: the shortest time alone would call the others late.
A queue inside the server makes a token wait for whole answers, which is far more."""

SMOOTHING = 0.2
QUEUE_ALLOWANCE = 0.5
"""Part of an answer that may wait inside a local server: what lets its limit grow again."""

MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What a server may be asked: answers at once, requests and tokens per minute."""

    at_once: int
    requests: float | None = None
    tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one request: the seconds waited for it, the tokens counted for it."""

    seconds: float
    tokens: float


class RateLimiter:
    """Spaces requests and their tokens evenly over the minute, where there is a limit.

    It may serve several runs, one after the other: a server's minute goes on between them.
    """

    def __init__(self) -> None:
        self._requests_at = 0.0
        self._tokens_at = 0.0
        self.begin(ServerLimits(1))

    def begin(self, allowed: ServerLimits) -> None:
        """Serve another run, under limits of its own."""
        self._allowed = allowed
        self._mean = 0.0
        self._answers = 0
        self.waited = 0.0

    async def turn(self) -> Permit:
        """Wait until the next request may be sent.

        The tokens of an answer are not known before: the mean so far is counted for it.
        """
        now = time.monotonic()
        at = max(now, self._requests_at, self._tokens_at)
        if self._allowed.requests is not None:
            self._requests_at = max(now, self._requests_at) + MINUTE / self._allowed.requests
        self._count(self._mean, now)
        if at > now:
            self.waited += at - now
            await anyio.sleep(at - now)
        return Permit(at - now, self._mean)

    def used(self, turn: Permit, usage: Usage) -> None:
        """Count what a request has really used."""
        tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        self._answers += 1
        self._mean += (tokens - self._mean) / self._answers
        self._count(tokens - turn.tokens, time.monotonic())

    def _count(self, tokens: float, now: float) -> None:
        if self._allowed.tokens is not None:
            self._tokens_at = max(now, self._tokens_at) + tokens * MINUTE / self._allowed.tokens


class AdaptiveConcurrency:
    """One server's limit, whatever models it serves: `slots` hold the answers that stream now.

    Their number is halved when the server refuses for its rate or load, and grows by one after as
    many answers as there are slots. It is halved once for all requests that were under way then,
    and for those made before the time is over that the server asked for. A local
    server does not refuse but queues: there it begins with one slot, grows by one with each
    answer until first tokens come late, and then follows the gradient of their time,
    limit * clamp(TOLERANCE * usual / seen, 1/2, 1) + QUEUE, smoothed (Gradient2Limit of Netflix's
    concurrency-limits). Usual is the shortest time so far or, where that is more, the SHARE.
    """

    def __init__(
        self,
        name: str,
        allowed: ServerLimits,
        *,
        local: bool = False,
        pace: RateLimiter | None = None,
    ) -> None:
        """Begin a run under these limits; `pace` is what earlier runs left, if there were any."""
        self.slots = anyio.CapacityLimiter(1 if local else allowed.at_once)
        self.pace = pace or RateLimiter()
        self.pace.begin(allowed)
        self._name = name
        self._allowed = allowed
        self._local = local
        self._limit = float(self.slots.total_tokens)
        self._starting = local
        self._lowest = allowed.at_once
        self._episode_ends = 0.0
        self._episodes = 0
        self._shortest = float("inf")

    def refused(self, sent: float, wait: float | None = None) -> None:
        """A request met a limit: when it was sent, by the monotonic clock, and the wait asked."""
        if sent >= self._episode_ends:
            self._episode_ends = time.monotonic() + (wait or 0.0)
            self._episodes += 1
            self._set(self._limit * BACKOFF_FACTOR)
            # Also where it was at its least already, as a local server's is in the beginning.
            self._lowest = min(self._lowest, int(self.slots.total_tokens))

    def answered(self, ttft_seconds: float | None, llm_seconds: float) -> None:
        """An answer is whole; its first token, if that is known, and all of it took so long."""
        if not self._local:
            self._set(self._limit + 1 / self._limit)
        elif ttft_seconds:
            self._shortest = min(self._shortest, ttft_seconds)
            usual = max(self._shortest, FIRST_TOKEN_SHARE * (llm_seconds - ttft_seconds))
            gradient = max(0.5, min(1.0, TOLERANCE * usual / ttft_seconds))
            self._starting = self._starting and gradient == 1.0
            wanted = self._limit * gradient + QUEUE_ALLOWANCE
            grown = self._limit + SMOOTHING * (wanted - self._limit)
            self._set(self._limit + 1 if self._starting else grown)

    @property
    def limit_notes(self) -> Iterator[str]:
        """What happened, in lines for people; none where the limit was never met."""
        most = self._allowed.at_once
        if self._episodes:
            times = "once" if self._episodes == 1 else f"{self._episodes} times"
            yield (
                f"{self._name} refused {times} for its rate or load: "
                f"down to {self._lowest} of {most} answers at once"
            )
        elif self._lowest < most:
            yield (
                f"{self._name} made first tokens wait: down to {self._lowest} of {most} answers "
                "at once; a lower --concurrency gives truer times"
            )
        if self.pace.waited >= 1:
            yield f"{self._name}: requests waited {self.pace.waited:.0f} s in all for their rate"

    def _set(self, limit: float) -> None:
        self._limit = min(max(1.0, limit), float(self._allowed.at_once))
        slots = int(self._limit + 1e-9)
        if slots < self.slots.total_tokens:
            self._lowest = min(self._lowest, slots)
        if slots != self.slots.total_tokens:
            self.slots.total_tokens = slots
