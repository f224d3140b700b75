"""Token counts: as a server gives them, and estimated where it gives none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmbench.records import Completion, Message, Usage

BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 text for one token, on average: the rule of thumb that OpenAI gives for English
(https://help.openai.com/en/articles/4936856). Code and other languages differ by a factor of up
to two, so that an estimate is no measure to compare models by."""


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """The token counts of a `usage` object; what is missing or no number stays None."""
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = count(prompt, "cached_tokens")
    return Usage(
        prompt_tokens=count(usage, "prompt_tokens"),
        completion_tokens=count(usage, "completion_tokens"),
        reasoning_tokens=count(completion, "reasoning_tokens"),
        cached_tokens=count(usage, "prompt_cache_hit_tokens") if cached is None else cached,
    )


def counted(completion: Completion, messages: Sequence[Message]) -> Completion:
    """The completion with prompt and completion tokens, and `usage_source` for where from.

    What the server counted is kept; what it did not is estimated from the texts.
    """
    usage = completion.usage
    if usage.prompt_tokens is not None and usage.completion_tokens is not None:
        return replace(completion, usage_source="server")
    prompt, answer = usage.prompt_tokens, usage.completion_tokens
    if prompt is None:
        prompt = estimate(*(message.content for message in messages))
    if answer is None:
        answer = estimate(completion.reasoning, completion.text)
    whole = replace(usage, prompt_tokens=prompt, completion_tokens=answer)
    return replace(completion, usage=whole, usage_source="estimated")


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
