"""Every attempt at a randomly failing server ends in one right row, over HTTP on loopback."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.abc
import pytest
from helpers.chaotic_server import ChaoticServer, Expected, Play, answer_text, code, fails
from helpers.factories import attempt
from helpers.runs import assembled
from helpers.scripted_server import serving

from llmbench.attempt import AnsweredAttempt, AttemptPipeline
from llmbench.errors import TransientError
from llmbench.events import Event, TargetStopped
from llmbench.models.chat import ChatModel
from llmbench.models.providers import PROVIDERS
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server, connect
from llmbench.plan import EndpointPlan, Plan, RequestTimeouts
from llmbench.records import Attempt, Message, Outcome, Row, Sampling, Submission, Target, Verdict
from llmbench.scheduler import Scheduler, Workload
from llmbench.store import journal
from llmbench.store.journal import Journal
from llmbench.store.run_dir import RunDirectory

pytestmark = [pytest.mark.anyio, pytest.mark.short_times]

MAX_TRIES = 3
CONCURRENCY = 64
TIMEOUTS = RequestTimeouts(connect=5.0, first_token=2.0, between_tokens=2.0, answer=30.0)
RETRY = RetryPolicy(MAX_TRIES, first_wait=0.001, max_wait=0.01, max_server_wait=0.01)


class ComparingSandbox:
    """A sandbox that passes only the exact code that the server sent for a run."""

    name = "comparing"

    async def run(self, submission: Submission) -> Verdict:
        right = code(submission.key.run) in (text.strip() for text in submission.files.values())
        return Verdict(Outcome.PASSED if right else Outcome.FAILED, 0 if right else 1)

    def check_options(self, lang: str, options: Mapping[str, str]) -> None:
        pass

    async def versions(self) -> dict[str, str]:
        return {}

    async def aclose(self) -> None: ...


@dataclass
class RunResult:
    """The rows and events of a run, and its parts after it."""

    rows: list[Row]
    events: list[Event]
    retried: list[TransientError]
    pipeline: AttemptPipeline
    scheduler: Scheduler[Attempt, AnsweredAttempt]
    slots: anyio.CapacityLimiter


async def run(folder: Path, client: Server, runs: int) -> RunResult:
    """Ask one problem many times, through all parts but the sandbox."""
    problem = attempt().problem
    target = Target("openrouter", "m", client.base_url, Sampling(4096, 0.2, 1))
    plan = Plan((EndpointPlan((target,), CONCURRENCY),), (problem,), runs, 2, 9.0)
    retried: list[TransientError] = []
    model = ChatModel(target, client, replace(RETRY, notify=lambda _, error: retried.append(error)))
    events: list[Event] = []
    work = RunDirectory(folder)
    with Journal(work.path) as run_journal:
        models = {target.label: model}
        parts = assembled(plan, models, ComparingSandbox(), run_journal, work, events.append)
        pipeline = parts.pipeline
        scheduler = Scheduler(pipeline.ask, pipeline.grade, max_sandboxes=2)
        await scheduler.run(Workload([plan.attempts()], client.limiter.slots, CONCURRENCY))
    rows = list(journal.rows(run_journal.path, pytest.fail))
    return RunResult(rows, events, retried, pipeline, scheduler, client.limiter.slots)


def expected_outcome(plays: list[Play]) -> Outcome:
    """The outcome of an attempt after these plays."""
    *before, last = plays
    retries = sum(play.expected is Expected.AGAIN for play in plays)
    assert all(play.expected in (Expected.AGAIN, Expected.LEARN) for play in before)
    if last.expected is Expected.AGAIN:
        assert retries == MAX_TRIES
    else:
        assert retries < MAX_TRIES
        assert last.expected is not Expected.LEARN
    return {
        Expected.WHOLE: Outcome.PASSED,
        Expected.EMPTY: Outcome.NO_CODE,
        Expected.SHORT: Outcome.TRUNCATED,
        Expected.AGAIN: Outcome.PROVIDER_ERROR,
        Expected.NEVER: Outcome.PROVIDER_ERROR,
    }[last.expected]


def check(result: RunResult, server: ChaoticServer, runs: int) -> None:
    """Check that each attempt has one right row, and that no slot is held."""
    assert Counter(row.run for row in result.rows) == Counter(range(1, runs + 1))
    wrong = [
        (row.outcome, row.log_head, names)
        for row in result.rows
        if row.outcome != expected_outcome(plays := server.plays[row.run])
        or row.requests != len(plays)
        for names in [[play.name for play in plays]]
    ]
    assert not wrong, f"{len(wrong)} wrong, such as {wrong[:3]}"
    assert (result.slots.borrowed_tokens, result.scheduler.in_flight) == (0, 0)
    waits = sum(play.requests_wait for plays in server.plays.values() for play in plays[:-1])
    assert sum(error.retry_after is not None for error in result.retried) == waits


@pytest.mark.parametrize("seed", range(4))
async def test_every_attempt_at_a_failing_server_ends_in_the_right_row(
    tmp_path: Path, seed: int
) -> None:
    server = ChaoticServer([], seed=seed, share=0.6)
    async with serving(server, TIMEOUTS) as client:
        check(await run(tmp_path, client, 100), server, 100)


@pytest.mark.parametrize("seed", range(5, 9))
async def test_a_quarter_of_ten_thousand_requests_with_failures_is_classified_right(
    tmp_path: Path, seed: int
) -> None:
    runs = 2000
    server = ChaoticServer([], seed=seed)
    async with serving(server, TIMEOUTS) as client:
        check(await run(tmp_path, client, runs), server, runs)
    plays = [play for plays in server.plays.values() for play in plays]
    assert len(plays) >= 2500
    assert {play.name for play in server.bad} <= {play.name for play in plays}


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "no key"), (402, "pay"), (403, "forbidden"), (404, "no model m"), (429, "quota")],
)
async def test_a_target_error_stops_the_target_and_requests_in_flight_finish(
    tmp_path: Path, status: int, message: str
) -> None:
    code_ = "insufficient_quota" if status == 429 else None
    fatal = Play("fatal", Expected.NEVER, fails(status, message, code=code_))
    server = ChaoticServer([], seed=2, share=0.1, bad=(fatal,))
    async with serving(server, TIMEOUTS) as client:
        result = await run(tmp_path, client, 2000)
    assert len(result.rows) + result.pipeline.skipped == 2000
    assert len({row.run for row in result.rows}) == len(result.rows) < 1000
    assert all(row.outcome == expected_outcome(server.plays[row.run]) for row in result.rows)
    assert sum(isinstance(event, TargetStopped) for event in result.events) == 1
    assert (result.slots.borrowed_tokens, result.scheduler.in_flight) == (0, 0)


async def test_a_request_to_a_server_that_is_still_starting_is_retried() -> None:
    late = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"http://127.0.0.1:{late.extra(anyio.abc.SocketAttribute.local_port)}/v1"
    await late.aclose()
    server = ChaoticServer([], share=0.0)
    opened: list[anyio.abc.AsyncResource] = []
    async with anyio.create_task_group() as tasks:

        async def start(_: float) -> None:
            listener = await anyio.create_tcp_listener(
                local_host="127.0.0.1", local_port=int(url.split(":")[2].split("/")[0])
            )
            opened.append(listener)
            tasks.start_soon(listener.serve, server.handle)

        async with connect(PROVIDERS["llamacpp"], url, None, TIMEOUTS) as client:
            target = Target("llamacpp", "m", url, Sampling(seed=1))
            model = ChatModel(target, client, RetryPolicy(2, sleep=start))
            messages = (Message("user", "Hello"),)
            completion = await model.complete(messages, run=1, slot=anyio.Semaphore(1))
        tasks.cancel_scope.cancel()
    await opened.pop().aclose()
    assert (completion.text, completion.requests) == (answer_text(1), 2)
