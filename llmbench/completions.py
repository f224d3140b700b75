"""A model's answer with its token counts and times."""

from dataclasses import dataclass
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

    @property
    def truncated(self) -> bool:
        """True if the answer was cut at the token limit or at the end of the context."""
        return ending(self.finish_reason) is Ending.CUT

    @property
    def tokens_per_second(self) -> float | None:
        """Completion tokens after the first, over the seconds after the first token."""
        tokens, ttft = self.usage.completion_tokens, self.ttft_seconds
        if tokens is None or tokens < 2 or ttft is None or self.llm_seconds <= ttft:
            return None
        return (tokens - 1) / (self.llm_seconds - ttft)
