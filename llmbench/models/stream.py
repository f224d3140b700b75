"""The answer to one request, read from its stream and timed."""

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
from llmbench.models.usage import get_number, parse_usage
from llmbench.plan import RequestTimeouts
from llmbench.records import Completion, Usage

DONE = b"[DONE]"

ACTIVITY_FIELDS = ("tool_calls", "function_call", "reasoning_details")
"""Fields of a delta without text that show the model at work: tool calls, encrypted reasoning."""

FILTERED_REASONS = frozenset(
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
"""Finish reasons, in lower case, of an answer that a content filter stopped."""

FAILED_REASONS = frozenset({"error", "abort", "insufficient_system_resource", "network_error"})
"""Finish reasons, in lower case, of an answer that the server failed to complete."""

DRAIN_SECONDS = 0.5
"""Wait for the end of a stream after its last event; only a connection read to its end is
reused."""

DEADLINE_SLACK = 0.1
"""Share of a time limit by which a stall may be noticed late, so that most tokens need not move
the deadline."""


class CompletionReader:
    """Reads the response to one request into a completion; its clock starts when it is created.

    The request must be made inside `scope`, which is cancelled when a time limit is over.
    """

    def __init__(self, errors: ErrorMapper, timeouts: RequestTimeouts) -> None:
        self._errors = errors
        self._timeouts = timeouts
        self._started = time.perf_counter()
        self._extend_at = 0.0
        self._answer_deadline = anyio.current_time() + timeouts.answer
        first = anyio.current_time() + timeouts.first_token
        self.scope = anyio.CancelScope(deadline=min(first, self._answer_deadline))
        self._first_token: float | None = None
        self._finished: float | None = None
        self._ended: float | None = None
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._model: str | None = None
        self._provider: str | None = None
        self._answer_start = AnswerStartDetector()

    async def read(self, response: httpx.Response) -> Completion:
        """Read a whole response, streamed or not.

        Raises:
            ModelError: The answer is not whole, was filtered, or is no chat completion.
        """
        if response.headers.get("content-type", "").startswith("application/json"):
            self._read_chunk(await response.aread())
            if self._is_empty:
                raise self._errors.unexpected_content("JSON")
            # The whole came in one piece, so the time of its first token is unknown.
            self._first_token = self._answer_start.started_at = None
            self._ended = time.perf_counter()
        else:
            await self._read_events(response)
        return self._completion()

    def on_timeout(self) -> Completion:
        """Return the answer after a time limit was over; whole if it had a finish reason.

        Raises:
            ModelError: The answer is not whole.
        """
        if self._finish_reason is not None:
            self._ended = self._ended or self._finished
            return self._completion()
        if self.scope.deadline == self._answer_deadline:  # the clock itself may be read late
            raise self._errors.answer_timeout(self._timeouts)
        if self._first_token is None:
            raise self._errors.first_token_timeout(self._timeouts)
        raise self._errors.token_timeout(self._timeouts)

    @property
    def usage(self) -> Usage:
        """The server's token counts so far."""
        return parse_usage(self._usage)

    @property
    def cost_usd(self) -> float | None:
        """The cost reported by the server so far, or None."""
        return get_number(self._usage, "cost")

    @property
    def _is_empty(self) -> bool:
        return self._finish_reason is None and self._first_token is None

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
                            self._read_chunk(data)
        except TRANSPORT_ERRORS:
            if self._finish_reason is None and self._ended is None:
                raise
        self._read_tail(decoder)
        if self._ended is not None:
            return
        if decoder.events == 0 and "event-stream" not in response.headers.get("content-type", ""):
            raise self._errors.unexpected_content(response.headers.get("content-type", ""))
        if decoder.events == 0:
            raise self._errors.interrupted("sent an empty stream: its own log may say why")
        if self._finish_reason is None:
            raise self._errors.interrupted("the stream ended before the answer did")
        self._ended = time.perf_counter()

    def _read_tail(self, decoder: EventDecoder) -> None:
        """Read a last event without its end, unless the event itself is cut."""
        for data in decoder.close():
            if data == DONE:
                self._ended = time.perf_counter()
            elif self._ended is None and data.endswith(b"}"):
                self._read_chunk(data)

    def _read_chunk(self, data: bytes) -> None:
        """Read one chunk, or a whole reply. Runs for every token, so it does little."""
        try:
            chunk = json.loads(data)
            if chunk.get("error") or chunk.get("object") == "error":
                raise self._errors.from_event(chunk)
            for choice in chunk.get("choices") or ():
                delta = choice.get("delta")
                if delta is None:  # beside a delta, the message repeats the whole text so far
                    delta = choice.get("message")
                if delta:
                    self._read_delta(delta)
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
            start = data[:80].decode("utf-8", "replace")
            raise self._errors.malformed_chunk(start) from error

    def _read_delta(self, delta: Mapping[str, Any]) -> None:
        text = delta.get("content") or delta.get("refusal")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if not text and not reasoning and not any(map(delta.get, ACTIVITY_FIELDS)):
            return
        now = time.perf_counter()
        if self._first_token is None:
            self._first_token = now
        if now >= self._extend_at:
            self._extend_deadline(now)
        if isinstance(text, list):  # content in typed parts
            reasoning = "".join(_texts(part.get("thinking")) for part in text) or reasoning
            text = _texts(text)
        if isinstance(text, str):
            self._text.append(text)
            self._answer_start.feed(text, now)
        if isinstance(reasoning, str):
            self._reasoning.append(reasoning)

    def _extend_deadline(self, now: float) -> None:
        """Extend the deadline after a token."""
        limit = self._timeouts.between_tokens
        self._extend_at = now + DEADLINE_SLACK * limit
        self.scope.deadline = min(
            anyio.current_time() + (1 + DEADLINE_SLACK) * limit, self._answer_deadline
        )

    def _completion(self) -> Completion:
        if self._is_empty:
            raise self._errors.interrupted("sent no answer")
        reason = (self._finish_reason or "").lower()
        if reason in FILTERED_REASONS:
            raise self._errors.content_filtered()
        if reason in FAILED_REASONS:
            raise self._errors.interrupted(f"ended the answer with finish_reason {reason}")
        ended = self._started if self._ended is None else self._ended
        answer_start = self._answer_start.started_at
        return Completion(
            text=_joined(self._text),
            reasoning=_joined(self._reasoning),
            finish_reason=self._finish_reason,
            usage=self.usage,
            cost_usd=self.cost_usd,
            llm_seconds=ended - self._started,
            ttft_seconds=None if self._first_token is None else self._first_token - self._started,
            ttfa_seconds=None if answer_start is None else answer_start - self._started,
            model=self._model if isinstance(self._model, str) else None,
            provider=self._provider if isinstance(self._provider, str) else None,
        )


def _texts(parts: object) -> str:
    """Join the texts of content that is a list of typed parts."""
    return "".join(part.get("text") or "" for part in parts) if isinstance(parts, list) else ""


def _joined(texts: list[str]) -> str:
    """Join the text; a character that was escaped in two halves, one per chunk, is restored."""
    text = "".join(texts)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
