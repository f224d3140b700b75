"""Token counts: the server's own, and estimates where it gives none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from llmbench.records import Completion, Message, Usage

BYTES_PER_TOKEN = 4
"""Mean bytes of UTF-8 text per token, OpenAI's rule of thumb for English
(https://help.openai.com/en/articles/4936856). Code and other languages differ by a factor of up
to two, so estimates do not compare models."""


def parse_usage(usage: Mapping[str, Any]) -> Usage:
    """Return the token counts of a `usage` object; None for each that is missing or no number.

    Some servers (xAI, Gemini) exclude reasoning from the completion tokens, and only their total
    shows it. The excess of the total over prompt and completion is then added to the completion.
    """
    details = usage.get("completion_tokens_details")
    prompt, completion = get_count(usage, "prompt_tokens"), get_count(usage, "completion_tokens")
    reasoning = get_count(details, "reasoning_tokens")
    cached = get_count(usage.get("prompt_tokens_details"), "cached_tokens")
    excess = (get_count(usage, "total_tokens") or 0) - (prompt or 0) - (completion or 0)
    if prompt is not None and completion is not None and excess > 0:
        completion += excess
        reasoning = excess if reasoning is None else reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=reasoning,
        cached_tokens=get_count(usage, "prompt_cache_hit_tokens") if cached is None else cached,
    )


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
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def get_count(mapping: object, name: str) -> int | None:
    """Return the number under a name as an integer if it is at least 0, or None."""
    value = get_number(mapping, name)
    return None if value is None or value < 0 else int(value)
