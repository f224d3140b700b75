"""The chunks of a chat completion, collected into a completion."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmbench.completions import Completion, Usage
from llmbench.finish_reasons import Ending, ending
from llmbench.models.content import (
    REPEAT_CHARS,
    is_active,
    other_reasoning,
    parse_content,
    reasoning_text,
)
from llmbench.models.errors import ErrorMapper
from llmbench.models.reasoning import AnswerStartDetector
from llmbench.models.server_timings import TIMING_FIELDS, parse_server_timings
from llmbench.models.token_clock import TokenClock
from llmbench.models.usage import at_most, get_count, parse_cost, parse_usage

logger = logging.getLogger(__name__)

MIN_BYTES = 1.4
"""Fewer bytes of text per token than this mean that some tokens are not in the text."""


class ChunkReader(ABC):
    """Reads the chunks of one answer; its clock starts when it is created."""

    def __init__(self, errors: ErrorMapper) -> None:
        self._errors = errors
        self._started = time.perf_counter()
        self._extend_at = 0.0
        self._clock = TokenClock()
        self._finished: float | None = None
        self._ended: float | None = None
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._finish_reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._timings: dict[str, Any] = {}
        self._model: str | None = None
        self._provider: str | None = None
        self._answer_start = AnswerStartDetector()
        self._is_active = False  # a token of any kind came
        self._whole = False  # the answer came as one piece, which needs no finish reason
        self._unread: str | None = None  # content of an unknown form
        self._other: Mapping[str, Any] | None = None  # the first object without choices

    @abstractmethod
    def _extend_deadline(self, now: float) -> None:
        """Extend the deadline after a sign of life."""

    @property
    def usage(self) -> Usage:
        """The server's token counts so far."""
        return parse_usage(self._usage)

    @property
    def cost_usd(self) -> float | None:
        """The cost reported by the server so far, or None."""
        return parse_cost(self._usage)

    @property
    def _is_empty(self) -> bool:
        return self._finish_reason is None and not self._is_active

    def _read_chunk(self, chunk: dict[str, Any]) -> None:
        """Read one chunk, or a whole reply. Runs for every token, so it does little."""
        if chunk.get("error") or chunk.get("object") == "error":
            raise self._errors.from_event(chunk)
        choices = chunk.get("choices")
        for choice in choices or ():
            if choice.get("index"):  # one answer was asked for: the first
                continue
            delta = choice.get("delta")
            if delta:
                self._read_delta(delta)
            else:
                self._read_whole(choice)
            if choice.get("finish_reason"):
                self._read_end(choice, chunk)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._read_usage(usage)
        elif not choices and self._other is None:
            self._other = chunk
        if self._finish_reason is not None or not choices:
            self._timings |= {name: chunk[name] for name in TIMING_FIELDS if name in chunk}
        if self._model is None:
            self._model = chunk.get("model")
            self._provider = chunk.get("provider")

    def _read_delta(self, delta: Mapping[str, Any]) -> None:
        text = delta.get("content") or delta.get("refusal")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        now = time.perf_counter()
        if not text and not reasoning:
            reasoning = other_reasoning(delta)
        if self._clock.first_at is None and (text or reasoning or is_active(delta)):
            self._clock.first_at, self._extend_at, self._is_active = now, 0.0, True
        if now >= self._extend_at:
            self._extend_deadline(now)
        if text and not isinstance(text, str):
            text, more = self._read_content(text)
            reasoning = reasoning or more
        if reasoning and not isinstance(reasoning, str):
            reasoning = reasoning_text(reasoning)
        if text:
            self._text.append(text)
            self._answer_start.feed(text, now)
        if reasoning:
            self._reasoning.append(reasoning)
        if chars := len(text or "") + len(reasoning or ""):
            self._clock.on_text(now, chars)

    def _read_content(self, value: Any) -> tuple[str, str]:
        """Return the text and the reasoning in content that is no text."""
        content = parse_content(value)
        if content.unread and self._unread is None:
            self._unread = self._errors.quote(str(value))
            logger.info("content of an unknown form: %s", self._unread)
        return content.text, content.reasoning

    def _read_whole(self, choice: Mapping[str, Any]) -> None:
        """Read a choice without a delta: a message, or the text of the older completions."""
        message = choice.get("message") or choice.get("text")
        if not message:
            return
        delta = message if isinstance(message, dict) else {"content": message}
        self._whole = True
        text, so_far = delta.get("content"), "".join(self._text)
        if isinstance(text, str) and so_far and _is_repeat(choice, text, so_far):
            self._text = [text if text.startswith(so_far) else so_far]
        else:
            self._read_delta(delta)

    def _read_end(self, choice: Mapping[str, Any], chunk: Mapping[str, Any]) -> None:
        """Read the finish reason of a choice, and what some servers send beside it."""
        reason = str(choice["finish_reason"])
        if ending(reason) is Ending.OPEN:
            return
        self._finish_reason = reason
        self._finished = time.perf_counter()
        groq = chunk.get("x_groq")
        if isinstance(groq, dict) and isinstance(groq.get("usage"), dict):
            self._read_usage(groq["usage"])
        if choice.get("error") and ending(reason) is Ending.BROKEN:
            raise self._errors.from_event({"error": choice["error"]})

    def _read_usage(self, usage: Mapping[str, Any]) -> None:
        """Keep the latest counts; counts of zero after others say nothing."""
        if self._clock.chunks == 1:
            self._clock.on_count(get_count(usage, "completion_tokens") or 0)
        if not self._usage or usage.get("completion_tokens") or usage.get("cost"):
            self._usage = usage

    def _new_completion(self, text: str, reasoning: str) -> Completion:
        """Return the answer with these texts."""
        ended = self._started if self._ended is None else self._ended
        first, answer_start = self._clock.first_at, self._answer_start.started_at
        usage, timings = self.usage, parse_server_timings({**self._timings, "usage": self._usage})
        if usage.cached_tokens is None and timings is not None:
            usage = replace(
                usage, cached_tokens=at_most(timings.cached_tokens, usage.prompt_tokens)
            )
        return Completion(
            text=text,
            reasoning=reasoning,
            finish_reason=self._finish_reason,
            usage=usage,
            cost_usd=self.cost_usd,
            llm_seconds=ended - self._started,
            ttft_seconds=None if first is None else first - self._started,
            ttfa_seconds=None if answer_start is None else answer_start - self._started,
            model=self._model if isinstance(self._model, str) else None,
            provider=self._provider if isinstance(self._provider, str) else None,
            chunks=self._clock.chunks if first is not None else None,
            stream_seconds=self._clock.stream_seconds if first is not None else None,
            stream_tokens=self._stream_tokens(usage, text, reasoning),
            server_timings=timings,
        )

    def _stream_tokens(self, usage: Usage, text: str, reasoning: str) -> float | None:
        """Return the number of tokens after the first chunk, None if it cannot be known.

        Tokens of reasoning whose text the server keeps to itself are not in the stream. Where it
        sends a summary of the reasoning, nobody knows how many tokens of the stream are counted.
        """
        if usage.completion_tokens is None or self._clock.first_at is None:
            return None
        hidden = 0 if reasoning else usage.reasoning_tokens or 0
        tokens = usage.completion_tokens - hidden
        size = len(text.encode("utf-8", "replace")) + len(reasoning.encode("utf-8", "replace"))
        return None if size < MIN_BYTES * tokens else self._clock.tokens_after_first(tokens)


def _is_repeat(choice: Mapping[str, Any], text: str, so_far: str) -> bool:
    """True if the message of a choice repeats the text of the deltas before or beside it."""
    is_end = choice.get("finish_reason") or len(so_far) >= REPEAT_CHARS
    return choice.get("delta") is not None or bool(is_end and text.startswith(so_far))
