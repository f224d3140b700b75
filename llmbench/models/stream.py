"""The answer to one request, read from its stream and timed."""

import json
import logging
import re
import time
from collections.abc import AsyncIterator
from json import JSONDecodeError
from typing import Any, ClassVar

import anyio
import httpx

from llmbench.completions import Completion
from llmbench.errors import ModelError
from llmbench.finish_reasons import Ending, ending
from llmbench.models.body import DONE_CHARS, first_bytes, is_done, json_values, rest
from llmbench.models.chunks import ChunkReader
from llmbench.models.content import (
    joined,
)
from llmbench.models.errors import ErrorMapper
from llmbench.models.server import ERROR_BODY_BYTES, TRANSPORT_ERRORS
from llmbench.models.sse import Decoder, EventDecoder
from llmbench.plan import RequestTimeouts

logger = logging.getLogger(__name__)

DECODED = frozenset({"", "identity", "gzip", "deflate"})
"""Content encodings that are decoded. No other is asked for."""

DRAIN_SECONDS = 0.5
"""Wait for the end of a stream after its last event; only a connection read to its end is
reused."""

DEADLINE_SLACK = 0.1
"""Share of a time limit by which a stall may be noticed late, so that most tokens need not move
the deadline."""

_NAMES_ERROR = re.compile(
    rb"\b(error|exception|traceback|failed|failure|fatal|overloaded|out of memory|unauthorized"
    rb"|forbidden|timed out|too many requests)\b",
    re.IGNORECASE,
)
_decode = json.JSONDecoder().decode  # `json.loads` would look for the encoding of each event
_PART_OF_ANSWER = re.compile(rb"\"(choices|delta|content)\"")


class CompletionReader(ChunkReader):
    """Reads the response to one request into a completion; its clock starts when it is created.

    The request must be made inside `scope`, which is cancelled when a time limit is over. An answer
    that is not `streamed` comes as a whole, so the time to its first token is not limited. An
    answer that `may_be_empty` is whole without a token.

    Attributes:
        decoder_class: Splits the body into events.
        content_type: A part of the content type of a body of events.
    """

    decoder_class: ClassVar[type[Decoder]] = EventDecoder
    content_type: ClassVar[str] = "event-stream"

    def __init__(
        self,
        errors: ErrorMapper,
        timeouts: RequestTimeouts,
        *,
        streamed: bool = True,
        may_be_empty: bool = False,
    ) -> None:
        super().__init__(errors)
        self._timeouts = timeouts
        self._may_be_empty = may_be_empty
        self.is_streamed = streamed
        now = anyio.current_time()
        self._answer_deadline = now + timeouts.answer
        self._first_deadline = now + timeouts.first_token
        first = self._first_deadline if streamed else self._answer_deadline
        self.scope = anyio.CancelScope(deadline=min(first, self._answer_deadline))
        self._passed_over: str | None = None  # the first event that is no object

    async def read(self, response: httpx.Response) -> Completion:
        """Read a whole response: events or JSON, whatever its content type says.

        Raises:
            ModelError: The answer is not whole, was filtered, or is no chat completion.
        """
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding not in DECODED:
            raise self._errors.unknown_encoding(encoding)
        content_type = response.headers.get("content-type", "")
        chunks = response.aiter_bytes()
        start = await first_bytes(chunks)
        if start.startswith((b"{", b"[")) and self.decoder_class is EventDecoder:
            await self._read_document(start, chunks)
        elif start.startswith(b"<"):
            page = start + await rest(chunks, ERROR_BODY_BYTES)
            raise self._errors.web_page(page)
        else:
            await self._read_events(start, chunks, content_type)
            if not self.is_streamed:
                self._forget_first_token()
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
        if self._clock.first_at is None and self.scope.deadline == self._first_deadline:
            raise self._errors.first_token_timeout(self._timeouts)
        raise self._errors.token_timeout(self._timeouts)

    async def _read_document(self, start: bytes, chunks: AsyncIterator[bytes]) -> None:
        """Read a body of JSON: one reply, or a line for each chunk."""
        body, broken = [start], None
        try:
            async for chunk in chunks:
                body.append(chunk)
        except TRANSPORT_ERRORS as error:
            broken = error
        self._read_data(document := b"".join(body))
        if broken is not None and self._finish_reason is None:
            raise broken
        if self._is_empty:
            raise self._no_answer("JSON")
        if self._finish_reason is None and not self._whole and b"\n{" in document:
            raise self._errors.interrupted("the stream ended before the answer did")
        self._forget_first_token()
        self._ended = time.perf_counter()

    def _forget_first_token(self) -> None:
        """Forget the time of the first token, which is unknown if the whole came in one piece."""
        self._clock.first_at = self._answer_start.started_at = None

    async def _read_events(
        self, start: bytes, chunks: AsyncIterator[bytes], content_type: str
    ) -> None:
        decoder = self.decoder_class()
        try:
            with anyio.CancelScope() as scope:
                self._read_each(decoder.feed(start), scope)
                async for chunk in chunks:
                    self._read_each(decoder.feed(chunk), scope)
        except TRANSPORT_ERRORS:
            if self._finish_reason is None and self._ended is None:
                raise
        # A last event without its end is read, unless the event itself is cut.
        tail = [data for data in decoder.close() if is_done(data) or data.endswith(b"}")]
        self._read_each(tail, scope)
        if self._ended is not None:
            return
        if decoder.events == 0 and self.content_type not in content_type:
            raise self._errors.unexpected_content(content_type)
        if decoder.events == 0:
            raise self._errors.interrupted("sent an empty stream: its own log may say why")
        if self._finish_reason is None:
            if self._is_empty:
                raise self._no_answer()
            raise self._errors.interrupted("the stream ended before the answer did")
        self._ended = time.perf_counter()

    def _read_each(self, events: list[bytes], scope: anyio.CancelScope) -> None:
        for data in events:
            if self._ended is not None:
                return
            if len(data) < DONE_CHARS and is_done(data):
                self._ended = time.perf_counter()
            else:
                self._read_data(data)
            if self._ended is not None:
                scope.deadline = anyio.current_time() + DRAIN_SECONDS

    def _read_data(self, data: bytes) -> None:
        """Read the JSON of one event or more. After a finish reason no fault counts."""
        try:
            try:
                self._read_value(_decode(data.decode()), data)
            except JSONDecodeError:
                values, remainder = json_values(data.decode())
                for value in values:
                    self._read_value(value, data)
                self._pass_over(remainder.encode())
        except ModelError:
            if ending(self._finish_reason) in (Ending.OPEN, Ending.BROKEN):
                raise
            ignored = self._errors.quote(data[:200].decode("utf-8", "replace"))
            logger.debug("an error after the end of the answer is ignored: %s", ignored)
        except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
            self._pass_over(data)

    def _read_value(self, value: Any, data: bytes) -> None:
        """Read a JSON value: a chunk, some chunks in a list, or anything else."""
        if type(value) is dict:
            self._read_chunk(value)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for item in value:
                self._read_chunk(item)
        else:
            self._pass_over(data)

    def _pass_over(self, data: bytes) -> None:
        """Ignore an event that is no chunk, unless it names an error or held a part of the answer.

        Raises:
            ModelError: It does so, before a finish reason.
        """
        text = data[:200].decode("utf-8", "replace").strip()
        if not text or self._finish_reason is not None:
            return
        if _NAMES_ERROR.search(data):
            raise self._errors.from_event({"error": text})
        if _PART_OF_ANSWER.search(data):
            raise self._errors.malformed_chunk(text)
        logger.debug("an event that is no chunk is passed over: %s", self._errors.quote(text))
        self._passed_over = self._passed_over or text

    def _no_answer(self, content_type: str | None = None) -> ModelError:
        """Return the error of a response without an answer, in the server's own words if any."""
        if self._other is not None and self._errors.has_words(self._other):
            return self._errors.from_event(self._other)
        if content_type is not None:
            return self._errors.unexpected_content(content_type)
        if self._passed_over is not None:
            return self._errors.malformed_chunk(self._passed_over)
        return self._errors.interrupted("sent no answer")

    def _extend_deadline(self, now: float) -> None:
        """Extend the deadline after a sign of life; before the first token it never shrinks."""
        limit = self._timeouts.between_tokens
        self._extend_at = now + DEADLINE_SLACK * limit
        deadline = anyio.current_time() + (1 + DEADLINE_SLACK) * limit
        if self._clock.first_at is None:
            deadline = max(deadline, self._first_deadline)
        self.scope.deadline = min(deadline, self._answer_deadline)

    def _completion(self) -> Completion:
        if self._is_empty:
            raise self._no_answer()
        text, reasoning = joined(self._text), joined(self._reasoning)
        self._check_end(is_empty=not text and not reasoning)
        return self._new_completion(text, reasoning)

    def _check_end(self, *, is_empty: bool) -> None:
        """Refuse an answer that the server withheld, broke off, or never made.

        Raises:
            ModelError: It is one of these.
        """
        meaning, reason = ending(self._finish_reason), self._errors.quote(self._finish_reason or "")
        if meaning is Ending.FILTERED:
            raise self._errors.content_filtered()
        if meaning is Ending.BROKEN:
            raise self._errors.interrupted(f"ended the answer with finish_reason {reason}")
        if is_empty and self._unread is not None:
            raise self._errors.interrupted(f"sent content of an unknown form: {self._unread}")
        made_nothing = is_empty and not self._is_active and not self.usage.completion_tokens
        if made_nothing and meaning is not Ending.CUT and not self._may_be_empty:
            raise self._errors.interrupted(f"sent no token, but finish_reason {reason}")
