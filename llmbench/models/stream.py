"""One answer, gathered from its stream and timed."""

import json
import time
from collections.abc import Mapping
from typing import Any

import anyio
import httpx

from llmbench.models.errors import ErrorMapper
from llmbench.models.reasoning import AnswerStartDetector
from llmbench.models.server import TRANSPORT_ERRORS
from llmbench.models.sse import EventDecoder
from llmbench.models.usage import number, parse_usage
from llmbench.plan import RequestTimeouts
from llmbench.records import Completion, Usage

DONE = b"[DONE]"

SIGNS_OF_LIFE = ("tool_calls", "function_call", "reasoning_details")
"""What a delta may hold instead of text: a call of a tool that nobody offered and thoughts that are
encrypted are no answer, but the model is at work."""

WITHHELD = frozenset(
    {
        "content_filter",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "sensitive",
    }
)
"""Reasons, in lower case, to end an answer that a content filter stopped."""

BROKEN_OFF = frozenset({"error", "abort", "insufficient_system_resource", "network_error"})
"""Reasons, in lower case, to end an answer that the server could not go on with."""

DRAIN_SECONDS = 0.5
"""Wait for the end of a stream after its last event: only a connection read to its end is used
again."""

SLACK = 0.1
"""Part by which a stall may be noticed late: the deadline is not moved at every token."""


class CompletionReader:
    """What one request has brought so far; its clock starts when it is made.

    `scope` is cancelled when a time limit is over: the request is made inside it.
    """

    def __init__(self, faults: ErrorMapper, limits: RequestTimeouts) -> None:
        self._faults = faults
        self._limits = limits
        self._started = time.perf_counter()
        self._renew_at = 0.0
        self._end = anyio.current_time() + limits.answer
        first = anyio.current_time() + limits.first_token
        self.scope = anyio.CancelScope(deadline=min(first, self._end))
        self._first: float | None = None
        self._finished: float | None = None
        self._ended: float | None = None
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._model: str | None = None
        self._provider: str | None = None
        self._start = AnswerStartDetector()

    async def read(self, response: httpx.Response) -> Completion:
        """Take in a whole response, streamed or not.

        Raises:
            ModelError: the answer is not whole, was withheld, or is no chat completion.
        """
        if response.headers.get("content-type", "").startswith("application/json"):
            self._take(await response.aread())
            if self._is_empty:
                raise self._faults.foreign("JSON")
            self._first = self._start.at = None  # in one piece: nobody saw its first token made
            self._ended = time.perf_counter()
        else:
            await self._read_events(response)
        return self._completion()

    def late(self) -> Completion:
        """The answer when a time limit was over: whole if only its end was left open.

        Raises:
            ModelError: the answer is not whole.
        """
        if self._finish_reason is not None:
            self._ended = self._ended or self._finished
            return self._completion()
        if self.scope.deadline == self._end:  # not by the clock, which may be seen late
            raise self._faults.endless(self._limits)
        if self._first is None:
            raise self._faults.unheard(self._limits)
        raise self._faults.stalled(self._limits)

    @property
    def usage(self) -> Usage:
        """What the server counted so far."""
        return parse_usage(self._usage)

    @property
    def cost_usd(self) -> float | None:
        """What the server said that it costs so far."""
        return number(self._usage, "cost")

    @property
    def _is_empty(self) -> bool:
        return self._finish_reason is None and self._first is None

    async def _read_events(self, response: httpx.Response) -> None:
        decoder = EventDecoder()
        try:
            with anyio.CancelScope() as scope:
                async for chunk in response.aiter_bytes():
                    for data in decoder.feed(chunk):
                        if data == DONE:
                            self._ended = time.perf_counter()
                            scope.deadline = anyio.current_time() + DRAIN_SECONDS
                        elif self._ended is None:
                            self._take(data)
        except TRANSPORT_ERRORS:
            if self._finish_reason is None and self._ended is None:
                raise
        self._take_tail(decoder)
        if self._ended is not None:
            return
        if decoder.events == 0 and "event-stream" not in response.headers.get("content-type", ""):
            raise self._faults.foreign(response.headers.get("content-type", ""))
        if decoder.events == 0:
            raise self._faults.cut("sent an empty stream: its own log may say why")
        if self._finish_reason is None:
            raise self._faults.cut("the stream ended before the answer did")
        self._ended = time.perf_counter()

    def _take_tail(self, decoder: EventDecoder) -> None:
        """Take a last event that nothing ended, unless it was cut itself."""
        for data in decoder.close():
            if data == DONE:
                self._ended = time.perf_counter()
            elif self._ended is None and data.endswith(b"}"):
                self._take(data)

    def _take(self, data: bytes) -> None:
        """Take in one chunk (or a whole reply): runs for every token, so it does little."""
        try:
            chunk = json.loads(data)
            if chunk.get("error") or chunk.get("object") == "error":
                raise self._faults.of_event(chunk)
            for choice in chunk.get("choices") or ():
                delta = choice.get("delta")
                if delta is None:  # else a message beside it holds the whole text so far
                    delta = choice.get("message")
                if delta:
                    self._take_delta(delta)
                if choice.get("finish_reason"):
                    self._finish_reason = str(choice["finish_reason"])
                    self._finished = time.perf_counter()
            usage = chunk.get("usage")
            if isinstance(usage, dict):
                self._usage = usage
            if self._model is None:
                self._model = chunk.get("model")
                self._provider = chunk.get("provider")
        except (ValueError, AttributeError, TypeError) as error:
            shown = data[:80].decode("utf-8", "replace")
            raise self._faults.odd(shown) from error

    def _take_delta(self, delta: Mapping[str, Any]) -> None:
        text = delta.get("content") or delta.get("refusal")
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if not text and not thought and not any(map(delta.get, SIGNS_OF_LIFE)):
            return
        now = time.perf_counter()
        if self._first is None:
            self._first = now
        if now >= self._renew_at:
            self._renew(now)
        if isinstance(text, list):  # content in typed parts
            thought = "".join(_texts(part.get("thinking")) for part in text) or thought
            text = _texts(text)
        if isinstance(text, str):
            self._text.append(text)
            self._start.hear(text, now)
        if isinstance(thought, str):
            self._reasoning.append(thought)

    def _renew(self, now: float) -> None:
        """Move the deadline on: the model is alive."""
        limit = self._limits.between_tokens
        self._renew_at = now + SLACK * limit
        self.scope.deadline = min(anyio.current_time() + (1 + SLACK) * limit, self._end)

    def _completion(self) -> Completion:
        if self._is_empty:
            raise self._faults.cut("sent no answer")
        reason = (self._finish_reason or "").lower()
        if reason in WITHHELD:
            raise self._faults.withheld()
        if reason in BROKEN_OFF:
            raise self._faults.cut(f"ended the answer with finish_reason {reason}")
        ended = self._started if self._ended is None else self._ended
        return Completion(
            text=_joined(self._text),
            reasoning=_joined(self._reasoning),
            finish_reason=self._finish_reason,
            usage=self.usage,
            cost_usd=self.cost_usd,
            llm_seconds=ended - self._started,
            ttft_seconds=None if self._first is None else self._first - self._started,
            ttfa_seconds=None if self._start.at is None else self._start.at - self._started,
            model=self._model if isinstance(self._model, str) else None,
            provider=self._provider if isinstance(self._provider, str) else None,
        )


def _texts(parts: object) -> str:
    """The texts of content that comes as a list of typed parts."""
    return "".join(part.get("text") or "" for part in parts) if isinstance(parts, list) else ""


def _joined(texts: list[str]) -> str:
    """The whole text; characters that were escaped in halves, one per chunk, are made whole."""
    text = "".join(texts)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
