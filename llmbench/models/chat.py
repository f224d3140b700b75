"""A model behind the OpenAI chat completions protocol, as servers really speak it."""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import httpx

from llmbench.errors import AttemptError, ModelError, TargetError, TransientError
from llmbench.models.errors import ErrorBody, parse_error
from llmbench.models.limits import Permit
from llmbench.models.pricing import Price
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import ERROR_BODY_BYTES, TRANSPORT_ERRORS, Server
from llmbench.models.stream import CompletionReader
from llmbench.models.usage import with_estimates
from llmbench.models.waiting import Waiter, WaitingRequests
from llmbench.records import Completion, Message, Target, Usage

REPLACEMENTS: Mapping[str, str | None] = {
    "stream_options": None,
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "seed": None,
}
"""Parameters that some servers refuse, and what is sent in their place."""

SAMPLING = ("max_tokens", "temperature", "seed")
"""Parameters that a result row tells: null where the server refused them."""

WARM_UP_MESSAGES = (Message("user", "Hi"),)

_UNSUPPORTED = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|unexpected|not allowed|not permitted"
    r"|only the default|deprecated|may only be|extra_forbidden|no longer"
)


class ChatModel:
    """One target at an OpenAI-compatible server; the server is shared and stays open."""

    def __init__(
        self,
        target: Target,
        server: Server,
        retries: RetryPolicy | None = None,
        price: Price | None = None,
        *,
        warm_up: bool = False,
    ) -> None:
        """Ask a target; with `warm_up` it is asked for one token first, so that it is loaded."""
        self.target = target
        self._extra: dict[str, Any] = json.loads(target.extra)
        self._cold = warm_up
        self._warming = anyio.Lock()
        self._price = price
        self._server = server
        self._retries = retries or RetryPolicy()
        self._faults = server.faults(target.label)
        self._line = WaitingRequests()
        self._lost = 0
        self._silent_since = math.inf
        self._unsupported = {name: REPLACEMENTS[name] for name in server.preset.refuses}

    @property
    def unsupported_params(self) -> Mapping[str, str | None]:
        """See `Model.learned`."""
        return self._unsupported

    @property
    def limit_notes(self) -> Iterator[str]:
        """See `Model.story`."""
        return self._server.traffic.limit_notes

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """See `Model.complete`."""
        began = time.monotonic()
        try:
            with self._line.wait() as place:
                ask = partial(self._try, messages, run, place)
                completion = await self._retries.run(ask, slot)
        except TransientError as fault:
            self._lost += 1
            self._silent_since = min(self._silent_since, began)
            raise self._given_up(fault) or fault from None
        except AttemptError:
            self._heard()
            raise
        self._heard()
        return completion

    def drain(self) -> int:
        """See `Model.drain`."""
        return self._line.close()

    def _heard(self) -> None:
        self._lost, self._silent_since = 0, math.inf

    def _given_up(self, fault: TransientError) -> TargetError | None:
        """The end of a target that gives nothing but passing faults, or None while it is early."""
        silent = time.monotonic() - self._silent_since
        if self._lost < self._retries.lost_attempts or silent < self._retries.lost_seconds:
            return None
        stopped = TargetError(
            f"{fault}; no answer came for {silent / 60:.0f} minutes: go on later with --resume"
        )
        stopped.requests, stopped.cost_usd = fault.requests, fault.cost_usd
        return stopped

    async def _try(self, messages: Sequence[Message], run: int, place: Waiter) -> Completion:
        """Ask once, in turn."""
        await self._warm_up()
        turn = await self._server.traffic.pace.turn()
        with place.sending():
            return await self._send(messages, run, turn)

    async def _send(self, messages: Sequence[Message], run: int, turn: Permit) -> Completion:
        """Ask once; where a parameter is refused, at once again without it, now and later."""
        traffic = self._server.traffic
        sent, requests = time.monotonic(), 1
        try:
            while (completion := await self._request(body := self._body(messages, run))) is None:
                requests += 1
        except ModelError as fault:
            fault.requests = requests
            if isinstance(fault, TransientError) and fault.overload:
                traffic.refused(sent, fault.retry_after)
            raise
        unsent = tuple(n for n in SAMPLING if n not in body and REPLACEMENTS[n] not in body)
        completion = replace(
            completion, requests=requests, unsupported_params=unsent, queue_seconds=turn.seconds
        )
        completion = with_estimates(completion, messages)
        # The longer prompt of a repair takes its time, which tells nothing of a queue.
        repair = any(message.role == "assistant" for message in messages)
        first = None if repair else completion.ttft_seconds
        traffic.answered(first, completion.llm_seconds)
        traffic.pace.used(turn, completion.usage)
        return replace(completion, cost_usd=self._cost(completion.cost_usd, completion.usage))

    def _cost(self, told: float | None, usage: Usage) -> float | None:
        """What a request cost: as the server told, else its tokens times the price, or None."""
        if told is not None or self._price is None:
            return told
        return self._price.cost(usage)

    async def _warm_up(self) -> None:
        """Have the model loaded, once, by a request that nobody times.

        Raises:
            TransientError: it did not answer.
            TargetError: it is of no use.
        """
        if not self._cold:
            return
        async with self._warming:
            while self._cold:
                with suppress(AttemptError):  # a real prompt will tell what is wrong
                    if await self._request(self._body(WARM_UP_MESSAGES, 1, max_tokens=1)) is None:
                        continue
                self._cold = False

    def _body(
        self, messages: Sequence[Message], run: int, *, max_tokens: int | None = None
    ) -> dict[str, Any]:
        sampling = self.target.sampling
        wanted = {
            "stream_options": {"include_usage": True},
            "max_tokens": max_tokens or sampling.max_tokens,
            "temperature": sampling.temperature,
            "seed": None if sampling.seed is None else sampling.seed + run - 1,
        }
        body: dict[str, Any] = {
            "model": self.target.model,
            "messages": [message._asdict() for message in messages],
            "stream": True,
            **self._extra,
        }
        for name, value in wanted.items():
            sent = self._unsupported.get(name, name)
            if value is not None and sent is not None:
                body[sent] = value
        return body

    async def _request(self, body: dict[str, Any]) -> Completion | None:
        """The answer to one request, or None after learning that a parameter is refused.

        Raises:
            ModelError: what went wrong, with what the server says that it cost.
        """
        answer = CompletionReader(self._faults, self._server.limits)
        try:
            return await self._exchange(answer, body)
        except ModelError as fault:
            fault.cost_usd = self._cost(answer.cost_usd, answer.usage)
            raise

    async def _exchange(self, answer: CompletionReader, body: dict[str, Any]) -> Completion | None:
        """Send one request and take in what comes; see `_request`."""
        post = partial(self._server.client.stream, "POST", "chat/completions")
        try:
            with answer.scope:
                async with post(json=body) as response:
                    if response.is_success:
                        return await answer.read(response)
                    status, error_body = response.status_code, await _error_body(response)
        except TRANSPORT_ERRORS as error:
            fault = self._faults.of_transport(error)
        else:
            if answer.scope.cancelled_caught:
                return answer.late()
            name = refused(body, parse_error(error_body)) if status in (400, 422) else None
            if name is not None:
                self._unsupported[name] = REPLACEMENTS[name]
                return None
            fault = self._faults.of_status(status, response.headers, error_body)
        raise fault  # outside `except`: what the transport raised can hold the request's headers


def refused(body: Mapping[str, Any], words: ErrorBody) -> str | None:
    """The parameter of a request that an error says the server does not take, or None."""
    for name, replacement in REPLACEMENTS.items():
        if name not in body:
            continue
        named = words.param == name or re.search(rf"\b{name}\b", words.kind)
        says_why = replacement in words.kind if replacement else _UNSUPPORTED.search(words.kind)
        if named and (says_why or name == "stream_options"):
            return name
    return None


async def _error_body(response: httpx.Response) -> bytes:
    """The start of an error's body: as much as came, for the status alone tells enough."""
    body = b""
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= ERROR_BODY_BYTES:
                break
    except TRANSPORT_ERRORS:
        pass
    return body
