"""Refusals that every request would meet: the same words to different prompts, and no answer."""

import time
from collections.abc import Sequence

from llmbench.errors import ModelError, TargetError
from llmbench.models.retry import RetryPolicy
from llmbench.records import Message


class RepeatedRefusals:
    """Counts the prompts that a target refused in the same words since its last answer."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._prompts: dict[str, set[int]] = {}
        self._began: dict[str, float] = {}

    def on_answer(self) -> None:
        """Forget all refusals: the target answers."""
        self._prompts.clear()
        self._began.clear()

    def on_error(self, error: ModelError, messages: Sequence[Message]) -> TargetError | None:
        """Count a refusal; return the error that stops the target if it was refused too often."""
        if not error.refusal:
            return None
        now = time.monotonic()
        prompts = self._prompts.setdefault(error.refusal, set())
        began = self._began.setdefault(error.refusal, now)
        prompts.add(hash(tuple(messages)))
        may_pass = not error.lasts and now - began < self._policy.refusal_seconds
        if len(prompts) < self._policy.refusal_prompts or may_pass:
            return None
        stop = TargetError(
            f"{error.message}; the same to {len(prompts)} different prompts, and no answer",
            hint="check the model and the server, then continue with --resume",
            source=error.source,
        )
        stop.requests, stop.cost_usd = error.requests, error.cost_usd
        return stop
