"""Token counts: the server's own, and estimates where it gives none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from llmbench.completions import Completion, Usage
from llmbench.records import Message

BYTES_PER_TOKEN = 4
"""Mean bytes of UTF-8 text per token, OpenAI's rule of thumb for English
(https://help.openai.com/en/articles/4936856). Code and other languages differ by a factor of up
to two, so estimates do not compare models."""

MAX_TOKENS = 10**9
"""A larger token count of one answer is a fault of the server: no model reads or writes as much."""

MAX_COST_USD = 10_000.0
"""A higher cost of one request is a fault of the server."""


def parse_usage(usage: Mapping[str, Any]) -> Usage:
    """Return the token counts of a `usage` object; None for each that is missing or implausible.

    Some servers exclude a part of the tokens, and only their total shows it. An excess of the total
    over prompt and completion belongs to the prompt if it equals the tokens that were read from a
    cache or written to it (Anthropic). Otherwise it is reasoning (xAI, Gemini), a part of the
    completion.
    """
    prompt, completion = get_count(usage, "prompt_tokens"), get_count(usage, "completion_tokens")
    reasoning = get_count(usage.get("completion_tokens_details"), "reasoning_tokens")
    if reasoning is None:
        reasoning = get_count(usage, "reasoning_tokens")
    cached = _first_count(
        (usage.get("prompt_tokens_details"), "cached_tokens"),
        (usage, "prompt_cache_hit_tokens"),
        (usage, "cache_read_input_tokens"),
    )
    if prompt is not None and completion is not None:
        excess = (get_count(usage, "total_tokens") or 0) - prompt - completion
        written = get_count(usage, "cache_creation_input_tokens") or 0
        if excess > 0 and excess in {cached or 0, written, (cached or 0) + written}:
            prompt += excess
        elif excess > 0:
            completion += excess
            reasoning = excess if reasoning is None else reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=at_most(reasoning, completion),
        cached_tokens=at_most(cached, prompt),
    )


def parse_cost(usage: Mapping[str, Any]) -> float | None:
    """Return the cost in USD in a `usage` object; None if it is missing or implausible."""
    cost = get_number(usage, "cost")
    return cost if cost is not None and 0 <= cost <= MAX_COST_USD else None


def with_estimates(completion: Completion, messages: Sequence[Message]) -> Completion:
    """Return the completion with all prompt and completion tokens, and their `usage_source`.

    The server's counts are kept. A missing count, or 0 in spite of a text, is estimated.
    """
    usage = completion.usage
    complete = replace(
        usage,
        prompt_tokens=usage.prompt_tokens or estimate(*(message.content for message in messages)),
        completion_tokens=usage.completion_tokens
        or estimate(completion.reasoning, completion.text),
    )
    source: Literal["server", "estimated"] = "server" if complete == usage else "estimated"
    return replace(completion, usage=complete, usage_source=source)


def estimate(*texts: str) -> int:
    """Estimate the tokens of some texts: UTF-8 bytes over `BYTES_PER_TOKEN`, rounded up."""
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return math.ceil(size / BYTES_PER_TOKEN)


def get_number(mapping: object, name: str) -> float | None:
    """Return the finite number under a name, or None."""
    value = mapping.get(name) if isinstance(mapping, Mapping) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON knows whole numbers of any length
        return None
    return number if math.isfinite(number) else None


def get_count(mapping: object, name: str) -> int | None:
    """Return the whole number from 0 to MAX_TOKENS under a name, or None."""
    value = get_number(mapping, name)
    return int(value) if value is not None and 0 <= value <= MAX_TOKENS else None


def _first_count(*places: tuple[object, str]) -> int | None:
    counts = (get_count(mapping, name) for mapping, name in places)
    return next((count for count in counts if count is not None), None)


def at_most(part: int | None, whole: int | None) -> int | None:
    """Return a part of a count; None if it is more than the whole."""
    return None if part is not None and whole is not None and part > whole else part
