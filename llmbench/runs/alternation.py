"""Answers and tests by turns, for models on this machine."""

from contextlib import AbstractAsyncContextManager

from llmbench.attempt import AnsweredAttempt, AttemptPipeline
from llmbench.models.providers import is_loopback
from llmbench.plan import Plan
from llmbench.records import Attempt
from llmbench.scheduler import Ask, Grade
from llmbench.turns import Turns

Stages = tuple[Ask[Attempt, AnsweredAttempt], Grade[AnsweredAttempt, Attempt]]


def in_turns(pipeline: AttemptPipeline, plan: Plan, *, alternate: bool) -> Stages:
    """Return the stages of a pipeline.

    If they `alternate`, they take turns, provided that a model of the plan is on this machine.

    A batch of tests keeps all sandboxes busy. A server that streams several answers at once waits
    for the last of them before each batch, so its batches are larger.
    """
    near = [
        endpoint
        for endpoint in plan.endpoints
        if endpoint.local and is_loopback(endpoint.targets[0].base_url)
    ]
    if not near or not alternate:
        return pipeline.ask, pipeline.grade
    addresses = {endpoint.targets[0].base_url for endpoint in near}
    turns = Turns(plan.max_sandboxes * max(endpoint.concurrency for endpoint in near))

    async def ask(
        attempt: Attempt, slot: AbstractAsyncContextManager[object]
    ) -> AnsweredAttempt | None:
        is_near = attempt.target.base_url in addresses
        answered = await pipeline.ask(attempt, turns.answering(slot) if is_near else slot)
        if answered is not None:
            turns.add_untested()
        return answered

    async def grade(answered: AnsweredAttempt) -> Attempt | None:
        async with turns.testing():
            return await pipeline.grade(answered)

    return ask, grade
