"""A model's answer with its token counts and times."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from llmbench.finish_reasons import Ending, ending
from llmbench.served import ServedModel


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts; None where they are unknown."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


MIN_CHUNKS = 4
MIN_STREAM_SECONDS = 0.5
MAX_SPEED_ERROR = 0.1
"""See `Completion.tokens_per_second`."""


class TimingSource(StrEnum):
    """The clock of a speed: a closed set. All but the last are servers, by the form they send."""

    LLAMACPP = "llama.cpp"
    OLLAMA = "ollama"
    LMSTUDIO = "lmstudio"
    VLLM = "vllm"
    GROQ = "groq"
    CEREBRAS = "cerebras"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class ServerTimings:
    """A server's own measurements of one answer; None for each that it does not tell.

    Attributes:
        source: The kind of server.
        prompt_tokens_per_second: The speed of reading the prompt.
        decode_tokens_per_second: The speed of writing the answer.
        cached_tokens: The tokens of the prompt that it had in its cache.
        drafted_tokens: The tokens that a draft model proposed.
        accepted_tokens: Those of them that are in the answer.
    """

    source: TimingSource
    prompt_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    cached_tokens: int | None = None
    drafted_tokens: int | None = None
    accepted_tokens: int | None = None

    @property
    def has_speed(self) -> bool:
        """True if the server tells a speed."""
        speeds = (self.prompt_tokens_per_second, self.decode_tokens_per_second)
        return any(speed is not None for speed in speeds)


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer to one attempt.

    Attributes:
        text: The answer, without its reasoning.
        reasoning: The reasoning text, empty if there is none.
        finish_reason: The reason that the server gave for the end of the answer.
        usage: The token counts.
        cost_usd: The known cost of all requests for this answer.
        llm_seconds: From the final request to the last byte of its answer.
        ttft_seconds: From the final request to the first token of any kind.
        queue_seconds: The wait for a model slot, over all requests.
        requests: The number of requests for this answer.
        model: The model that the server reported.
        provider: The provider that a router reported.
        ttfa_seconds: From the final request to the first token after the reasoning.
        usage_source: The source of the prompt and completion token counts.
        unsupported_params: The sampling parameters that were not sent.
        from_cache: True if the answer comes from an earlier run.
        cost_source: The source of `cost_usd`.
        served: The model as its server described it; None if it was not asked.
        has_timings: False if this run sent no request: ignore the times and `requests`.
        chunks: The number of chunks with text; None if the answer was not streamed.
        stream_seconds: From the first chunk to the last.
        stream_tokens: The number of tokens after the first chunk, by the server's count of all.
        server_timings: The server's own measurements.
    """

    text: str
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage = Usage()
    cost_usd: float | None = None
    llm_seconds: float = 0.0
    ttft_seconds: float | None = None
    queue_seconds: float = 0.0
    requests: int = 1
    model: str | None = None
    provider: str | None = None
    ttfa_seconds: float | None = None
    usage_source: Literal["server", "estimated"] | None = None
    unsupported_params: tuple[str, ...] = ()
    from_cache: bool = False
    has_timings: bool = True
    served: ServedModel | None = None
    cost_source: str | None = None
    chunks: int | None = None
    stream_seconds: float | None = None
    stream_tokens: float | None = None
    server_timings: ServerTimings | None = None

    @property
    def truncated(self) -> bool:
        """True if the answer was cut at the token limit or at the end of the context."""
        return ending(self.finish_reason) is Ending.CUT

    def without_timings(self) -> "Completion":
        """Return the answer without times and speeds, for a run that sent no request."""
        return replace(
            self,
            has_timings=False,
            llm_seconds=0.0,
            ttft_seconds=None,
            ttfa_seconds=None,
            queue_seconds=0.0,
            chunks=None,
            stream_seconds=None,
            stream_tokens=None,
            server_timings=None,
        )

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens after the first chunk, over the seconds from the first chunk to the last.

        None where there are fewer than MIN_CHUNKS or less time than MIN_STREAM_SECONDS: the true
        speed of 95 of 100 answers is within MAX_SPEED_ERROR of this one, however the server splits
        its tokens into chunks. `scripts/benchmarks/token_speeds.py` simulates it.
        """
        chunks, seconds, tokens = self.chunks, self.stream_seconds, self.stream_tokens
        if chunks is None or seconds is None or tokens is None or tokens <= 0:
            return None
        is_measured = chunks >= MIN_CHUNKS and seconds >= MIN_STREAM_SECONDS
        return tokens / seconds if is_measured else None

    @property
    def decode_tokens_per_second(self) -> float | None:
        """The server's own speed of writing the answer if it tells one, else ours."""
        if self.server_timings is not None and self.server_timings.has_speed:
            return self.server_timings.decode_tokens_per_second
        return self.tokens_per_second

    @property
    def timing_source(self) -> TimingSource | None:
        """The clock of `decode_tokens_per_second` and of the speed of reading the prompt."""
        if self.server_timings is not None and self.server_timings.has_speed:
            return self.server_timings.source
        return None if self.tokens_per_second is None else TimingSource.CLIENT
