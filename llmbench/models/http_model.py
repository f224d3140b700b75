"""A model behind HTTP: its requests, retries, limits and costs, whatever protocol it speaks.

A protocol is a subclass: its path, its request body and the reader of its responses.
"""

import json
import logging
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from typing import Any, ClassVar

import anyio
import httpx

from llmbench.completions import Completion, Usage
from llmbench.errors import AttemptError, ModelError, TargetError, TransientError
from llmbench.models.errors import parse_error
from llmbench.models.extra_fields import with_fields
from llmbench.models.limits import Permit
from llmbench.models.pricing import REPORTED, Price
from llmbench.models.refusals import RepeatedRefusals
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import ERROR_BODY_BYTES, TRANSPORT_ERRORS, Server
from llmbench.models.stream import CompletionReader
from llmbench.models.unsupported import unsupported_param
from llmbench.models.usage import with_estimates
from llmbench.models.waiting import Waiter, WaitingRequests
from llmbench.records import Message, Target

logger = logging.getLogger(__name__)

WARM_UP_MESSAGES = (Message("user", "Hi"),)

LOADING_WAITS = (1.0, 2.0, 5.0)
"""Waits in seconds between requests to a server that loads its model; the last one is repeated."""

MAX_LOADING_WAIT = 30.0
"""Longest such wait that a server may request."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The contents of a request, before a protocol gives them their form.

    `params` are the sampling parameters by their names in the results; those that are unknown or
    refused are left out. `streamed` is False where the server refused to stream.
    """

    messages: Sequence[Message]
    params: Mapping[str, Any]
    streamed: bool = True


class HttpModel(ABC):
    """One target at a server; the server is shared and stays open.

    Records of the standard library's `logging` describe requests, answers and refused parameters.
    They never contain keys, headers or prompts.

    Attributes:
        path: The address of requests, relative to that of the server.
        replacements: Parameters that some servers refuse, each with the one to send instead (None:
            leave it out).
        unknown_params: Sampling parameters that the protocol does not have.
        reader_class: Reads the responses.
    """

    path: ClassVar[str]
    replacements: ClassVar[Mapping[str, str | None]]
    unknown_params: ClassVar[tuple[str, ...]] = ()
    reader_class: ClassVar[type[CompletionReader]] = CompletionReader

    def __init__(
        self,
        target: Target,
        server: Server,
        retry: RetryPolicy | None = None,
        price: Price | None = None,
        *,
        warm_up: bool = False,
    ) -> None:
        """Prepare a target; with `warm_up` its first request loads the model and is not timed."""
        self.target = target
        self._extra = with_fields(json.loads(target.extra), json.loads(target.sampling.params))
        self._needs_warm_up = warm_up
        self._warm_up_lock = anyio.Lock()
        self._price = price
        self._server = server
        self._retry = retry or RetryPolicy()
        self._errors = server.error_mapper(target.label)
        self._waiting = WaitingRequests()
        self._failed_in_a_row = 0
        self._outage_began = math.inf
        self._refusals = RepeatedRefusals(self._retry)
        self._unsupported = dict.fromkeys(self.unknown_params, None) | {
            name: self.replacements.get(name) for name in server.provider.refuses
        }

    @abstractmethod
    def make_body(self, request: ModelRequest) -> dict[str, Any]:
        """Return the body of a request, without the fields of the target's `extra`."""

    @property
    def unsupported_params(self) -> Mapping[str, str | None]:
        """See `Model.unsupported_params`."""
        return self._unsupported

    @property
    def limit_notes(self) -> Iterator[str]:
        """See `Model.limit_notes`."""
        return self._server.limiter.limit_notes

    async def complete(
        self, messages: Sequence[Message], *, run: int, slot: AbstractAsyncContextManager[object]
    ) -> Completion:
        """See `Model.complete`."""
        began = time.monotonic()
        try:
            with self._waiting.wait() as waiter:
                completion = await self._retry.run(partial(self._try, messages, run, waiter), slot)
        except TransientError as error:
            self._failed_in_a_row += 1
            self._outage_began = min(self._outage_began, began)
            refused = self._refusals.on_error(error, messages)
            raise refused or self._outage_error(error) or error from None
        except AttemptError as error:
            self._reset_outage()
            raise self._refusals.on_error(error, messages) or error from None
        self._reset_outage()
        self._refusals.on_answer()
        return completion

    def drain(self) -> int:
        """See `Model.drain`."""
        return self._waiting.close()

    def _reset_outage(self) -> None:
        self._failed_in_a_row, self._outage_began = 0, math.inf

    def _outage_error(self, error: TransientError) -> TargetError | None:
        """Return the error that stops a target after a long outage, or None before that."""
        seconds = time.monotonic() - self._outage_began
        if (
            self._failed_in_a_row < self._retry.outage_attempts
            or seconds < self._retry.outage_seconds
        ):
            return None
        stop = TargetError(
            f"{error.reason}; no answer for {seconds / 60:.0f} minutes",
            hint="continue later with --resume",
            source=error.source,
        )
        stop.requests, stop.cost_usd = error.requests, error.cost_usd
        return stop

    async def _try(self, messages: Sequence[Message], run: int, waiter: Waiter) -> Completion:
        """Send one request when the rate limit permits it, again once a model has loaded."""
        give_up_at = time.monotonic() + self._server.timeouts.first_token
        refused = 0
        while True:
            await self._warm_up()
            permit = await self._server.limiter.rate_limiter.acquire()
            try:
                with waiter.sending():
                    completion = await self._send(messages, run, permit)
                    return replace(completion, requests=completion.requests + refused)
            except TransientError as error:
                error.requests += refused
                if not error.loading or time.monotonic() >= give_up_at:
                    raise
                refused = error.requests
            self._needs_warm_up = True

    async def _send(self, messages: Sequence[Message], run: int, permit: Permit) -> Completion:
        """Send one request, at once again without each parameter that the server refuses."""
        limiter = self._server.limiter
        sent_at, requests = time.monotonic(), 1
        try:
            request = self._new_request(messages, run)
            while (completion := await self._request(request, run)) is None:
                requests += 1
                request = self._new_request(messages, run)
        except ModelError as error:
            error.requests = requests
            if isinstance(error, TransientError) and error.overload:
                limiter.on_overload(sent_at, error.retry_after)
            raise
        omitted = tuple(name for name in self._wanted(run) if name not in request.params)
        completion = replace(
            with_estimates(completion, messages),
            requests=requests,
            unsupported_params=omitted,
            queue_seconds=permit.waited_seconds,
        )
        # The longer prompt of a repair takes longer, which is no sign of a queue.
        is_repair = any(message.role == "assistant" for message in messages)
        ttft_seconds = None if is_repair else completion.ttft_seconds
        limiter.on_success(ttft_seconds, completion.llm_seconds)
        limiter.rate_limiter.record_usage(permit, completion.usage)
        cost = self._cost(completion.cost_usd, completion.usage)
        source = self._price.source if completion.cost_usd is None and self._price else REPORTED
        return replace(completion, cost_usd=cost, cost_source=None if cost is None else source)

    def _cost(self, reported: float | None, usage: Usage) -> float | None:
        """Return the cost of a request: as reported, else its tokens times the price, or None."""
        if reported is not None or self._price is None:
            return reported
        return self._price.cost(usage)

    async def _warm_up(self) -> None:
        """Load the model, once, by a request that is not timed.

        Raises:
            TransientError: The server did not answer.
            TargetError: The target cannot answer any prompt.
        """
        if not self._needs_warm_up:
            return
        async with self._warm_up_lock:
            waits = chain(LOADING_WAITS, repeat(LOADING_WAITS[-1]))
            began = time.monotonic()
            give_up_at = began + self._server.timeouts.first_token
            while self._needs_warm_up:
                logger.debug("loading %s before it is timed", self.target.label)
                try:
                    request = self._new_request(WARM_UP_MESSAGES, 1, max_tokens=1)
                    if await self._request(request, 1, warm_up=True) is None:
                        continue
                except AttemptError:  # the real prompt will show the error
                    pass
                except TransientError as error:
                    if not error.loading:
                        raise
                    await self._wait_for_model(error, next(waits), give_up_at)
                    continue
                await self._server.on_loaded(self.target, time.monotonic() - began)
                self._needs_warm_up = False

    async def _wait_for_model(
        self, error: TransientError, seconds: float, give_up_at: float
    ) -> None:
        """Wait before the next look at a server that loads its model.

        Raises:
            TargetError: It has loaded for longer than the limit of a first token.
        """
        seconds = max(seconds, min(error.retry_after or 0.0, MAX_LOADING_WAIT))
        if time.monotonic() + seconds > give_up_at:
            limit = self._server.timeouts.first_token
            raise TargetError(
                f"{error.message}; the model has not loaded within {limit:g} s",
                hint="allow more with --first-token-timeout",
                source=error.source,
            ) from None
        self._retry.notify(seconds, error)
        await anyio.sleep(seconds)

    def _new_request(
        self, messages: Sequence[Message], run: int, *, max_tokens: int | None = None
    ) -> ModelRequest:
        params = self._wanted(run)
        if max_tokens is not None:
            params["max_tokens"] = max_tokens
        sent = {name: v for name, v in params.items() if self.sent_name(name) is not None}
        return ModelRequest(messages, sent, streamed="stream" not in self._unsupported)

    def _wanted(self, run: int) -> dict[str, Any]:
        """Return the sampling parameters of the target at a run, whether the server knows them."""
        sampling = self.target.sampling
        params = {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "seed": None if sampling.seed is None else sampling.seed + run - 1,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": sampling.min_p,
            "reasoning_effort": sampling.reasoning_effort,
        }
        return {name: value for name, value in params.items() if value is not None}

    def sent_name(self, param: str) -> str | None:
        """Return the name under which a parameter is sent, None if it is left out."""
        return self._unsupported.get(param, param)

    async def _request(
        self, request: ModelRequest, run: int, *, warm_up: bool = False
    ) -> Completion | None:
        """Return the answer to one request, or None if a parameter was found to be unsupported.

        Raises:
            ModelError: The request failed; its cost is as far as the server reported it.
        """
        url = self._server.url_of(self.path)
        logger.debug("POST %s: model %s, run %d", url, self.target.model, run)
        reader = self.reader_class(
            self._errors, self._server.timeouts, streamed=request.streamed, may_be_empty=warm_up
        )
        try:
            return await self._exchange(
                reader, url, with_fields(self._extra, self.make_body(request))
            )
        except ModelError as error:
            error.cost_usd = self._cost(reader.cost_usd, reader.usage)
            raise

    async def _exchange(
        self, reader: CompletionReader, url: str, body: dict[str, Any]
    ) -> Completion | None:
        """Send one request and read its response; see `_request`."""
        post = partial(self._server.client.stream, "POST", url)
        try:
            with reader.scope:
                async with post(json=body) as response:
                    if response.is_success:
                        completion = await reader.read(response)
                        self._log_answer(response.status_code, completion)
                        return completion
                    status, error_body = response.status_code, await _read_error_body(response)
        except TRANSPORT_ERRORS as exception:
            error = self._errors.from_exception(exception)
        else:
            if reader.scope.cancelled_caught:
                return reader.on_timeout()
            logger.debug("%s answered HTTP %d", self.target.label, status)
            name = None
            if status in (400, 422):
                name = unsupported_param(body, parse_error(error_body), self.replacements)
            if name is not None:
                self._mark_unsupported(name)
                return None
            error = self._errors.from_status(status, response.headers, error_body)
        raise error  # outside `except`, whose exception can hold the request's headers

    def _log_answer(self, status: int, completion: Completion) -> None:
        tokens = completion.usage.completion_tokens
        logger.debug(
            "%s answered HTTP %d in %.2f s, completion tokens: %s",
            self.target.label,
            status,
            completion.llm_seconds,
            "not reported" if tokens is None else tokens,
        )

    def _mark_unsupported(self, name: str) -> None:
        replacement = self._unsupported[name] = self.replacements[name]
        action = f"{replacement} is sent instead" if replacement else "it is left out"
        logger.info("%s does not support %s: %s", self.target.label, name, action)


async def _read_error_body(response: httpx.Response) -> bytes:
    """Return the start of an error's body, as much as came: the status alone may suffice."""
    body = b""
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= ERROR_BODY_BYTES:
                break
    except TRANSPORT_ERRORS:
        pass
    return body
