"""Token counts: as a server gives them, and estimated where it gives none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from llmbench.records import Completion, Message, Usage

BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 text for one token, on average: the rule of thumb that OpenAI gives for English
(https://help.openai.com/en/articles/4936856). Code and other languages differ by a factor of up
to two, so that an estimate is no measure to compare models by."""


def parse_usage(usage: Mapping[str, Any]) -> Usage:
    """The token counts of a `usage` object; what is missing or no number stays None.

    Some servers (xAI, Gemini) count reasoning beside the completion and not into it: only their
    total tells. Completion tokens are those of the total that are not of the prompt.
    """
    details = usage.get("completion_tokens_details")
    prompt, completion = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    reasoning = count(details, "reasoning_tokens")
    cached = count(usage.get("prompt_tokens_details"), "cached_tokens")
    beside = (count(usage, "total_tokens") or 0) - (prompt or 0) - (completion or 0)
    if prompt is not None and completion is not None and beside > 0:
        completion += beside
        reasoning = beside if reasoning is None else reasoning
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        reasoning_tokens=reasoning,
        cached_tokens=count(usage, "prompt_cache_hit_tokens") if cached is None else cached,
    )


def with_estimates(completion: Completion, messages: Sequence[Message]) -> Completion:
    """The completion with prompt and completion tokens, and `usage_source` for where from.

    What the server counted is kept; what it did not, or counted as 0 though there is a text, is
    estimated from the texts.
    """
    usage = completion.usage
    whole = replace(
        usage,
        prompt_tokens=usage.prompt_tokens or estimate(*(message.content for message in messages)),
        completion_tokens=usage.completion_tokens
        or estimate(completion.reasoning, completion.text),
    )
    source: Literal["server", "estimated"] = "server" if whole == usage else "estimated"
    return replace(completion, usage=whole, usage_source=source)


def estimate(*texts: str) -> int:
    """The tokens of some texts, roughly: their bytes in UTF-8 over `BYTES_PER_TOKEN`, up."""
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    return math.ceil(size / BYTES_PER_TOKEN)


def number(mapping: object, name: str) -> float | None:
    """The finite number under a name, or None."""
    value = mapping.get(name) if isinstance(mapping, Mapping) else None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def count(mapping: object, name: str) -> int | None:
    """The number from 0 up under a name, as a whole one, or None."""
    value = number(mapping, name)
    return None if value is None or value < 0 else int(value)
