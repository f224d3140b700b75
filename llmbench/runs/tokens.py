"""Tokens that the requests of a run take, estimated before and compared after."""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from llmbench.models.hosting import Need
from llmbench.models.usage import estimate
from llmbench.records import Attempt, Problem, Row, Target
from llmbench.texts import counted

if TYPE_CHECKING:
    from llmbench.runs.run import Run

CUT_SHARE = 0.4
"""A prompt that counts fewer tokens than this share of its estimate was cut. The estimate is off by
a factor of two at most."""

CUT_TOKENS = 200
"""Shorter prompts are not judged: of them the estimate says too little."""


def prompt_tokens(run: "Run", target: Target, problem: Problem) -> int:
    """Estimate the tokens of a first prompt."""
    messages = run.prompter.messages(Attempt(target, problem, 1))
    return estimate(*(message.content for message in messages))


def tokens_needed(run: "Run") -> dict[str, Need]:
    """Return the tokens of the longest request of each target that is asked, by its label."""
    return {
        target.label: Need(
            max((prompt_tokens(run, target, p) for p in run.plan.problems), default=0),
            target.sampling.max_tokens,
        )
        for endpoint in run.plan.endpoints
        if not endpoint.replayed
        for target in endpoint.targets
        if target.sampling.max_tokens is not None
    }


def cut_prompts(run: "Run") -> Iterator[str]:
    """Yield a line for each target whose server counted far fewer tokens than its prompts have."""
    estimates: dict[tuple[str, str], int] = {}
    targets = {target.label: target for target in run.plan.targets}
    problems = {problem.id: problem for problem in run.plan.problems}
    cut: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for row in run.view.rows():
        if not _has_own_count(row):
            continue
        key = row.target, row.problem_id
        if key not in estimates:
            estimates[key] = prompt_tokens(run, targets[row.target], problems[row.problem_id])
        tokens = row.prompt_tokens or 0
        if estimates[key] >= CUT_TOKENS and tokens < CUT_SHARE * estimates[key]:
            cut[row.target].append((tokens, estimates[key], row.problem_id))
    for label, prompts in cut.items():
        tokens, expected, problem_id = min(prompts)
        yield (
            f"{label}: the server counted far fewer tokens than "
            f"{counted(len(prompts), 'prompt has', 'prompts have')}, for example "
            f"{counted(tokens, 'token', 'tokens')} of about {expected} of {problem_id}: it cut "
            "them to its context, or does not count cached tokens"
        )


def _has_own_count(row: Row) -> bool:
    return (
        row.usage_source == "server"
        and row.prompt_tokens is not None
        and not row.replayed
        and not row.from_cache
    )
