"""Whatever a server does, every attempt ends in one right row, over real HTTP on loopback."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.abc
import pytest
from helpers.chaotic_server import ChaoticServer, Means, Play, answer_text, code, says
from helpers.factories import attempt
from helpers.scripted_server import serving

from llmbench import plan as config
from llmbench.attempt import AnsweredAttempt, AttemptPipeline
from llmbench.errors import TransientError
from llmbench.events import Event, TargetStopped
from llmbench.models.chat import ChatModel
from llmbench.models.presets import PROVIDERS
from llmbench.models.retry import RetryPolicy
from llmbench.models.server import Server, connect
from llmbench.plan import EndpointPlan, Plan, RequestTimeouts
from llmbench.records import Attempt, Message, Outcome, Row, Sampling, Submission, Target, Verdict
from llmbench.runners import load_runners
from llmbench.scheduler import Scheduler, Workload
from llmbench.store import journal
from llmbench.store.journal import Journal
from llmbench.store.run_dir import RunDirectory

pytestmark = [pytest.mark.anyio, pytest.mark.alone]

TRIES = 3
CONCURRENCY = 64
LIMITS = RequestTimeouts(connect=5.0, first_token=2.0, between_tokens=2.0, answer=30.0)
RETRIES = RetryPolicy(TRIES, first_wait=0.001, longest_wait=0.01, longest_asked_wait=0.01)


class Comparing:
    """A sandbox that passes the very code that the server sent for a run, and nothing else."""

    name = "comparing"

    async def run(self, submission: Submission) -> Verdict:
        right = code(submission.key.run) in (text.strip() for text in submission.files.values())
        return Verdict(Outcome.PASSED if right else Outcome.FAILED, 0 if right else 1)

    async def versions(self) -> dict[str, str]:
        return {}

    async def aclose(self) -> None: ...


@dataclass
class Ran:
    """What a run left behind."""

    rows: list[Row]
    events: list[Event]
    waits: list[TransientError]
    pipeline: AttemptPipeline
    engine: Scheduler[Attempt, AnsweredAttempt]
    slots: anyio.CapacityLimiter


async def run(folder: Path, client: Server, runs: int) -> Ran:
    """Ask one problem many times, through all parts but the sandbox."""
    problem = attempt().problem
    target = Target("openrouter", "m", client.base_url, Sampling(4096, 0.2, 1))
    plan = Plan((EndpointPlan((target,), CONCURRENCY),), (problem,), runs, 2, 9.0)
    waits: list[TransientError] = []
    model = ChatModel(target, client, replace(RETRIES, notify=lambda _, fault: waits.append(fault)))
    heard: list[Event] = []
    work = RunDirectory(folder)
    with Journal(work.path) as written:
        runners = load_runners(config.bundled_dir("runners"))
        models = {target.label: model}
        pipeline = AttemptPipeline(plan, models, runners, Comparing(), written, work, heard.append)
        engine = Scheduler(pipeline.ask, pipeline.grade, max_sandboxes=2)
        await engine.run(Workload([plan.attempts()], client.traffic.slots, CONCURRENCY))
    rows = list(journal.rows(written.path, pytest.fail))
    return Ran(rows, heard, waits, pipeline, engine, client.traffic.slots)


def expected(plays: list[Play]) -> Outcome:
    """What an attempt must come to that got these plays."""
    *before, last = plays
    again = sum(play.means is Means.AGAIN for play in plays)
    assert all(play.means in (Means.AGAIN, Means.LEARN) for play in before)
    if last.means is Means.AGAIN:
        assert again == TRIES
    else:
        assert again < TRIES
        assert last.means is not Means.LEARN
    return {
        Means.WHOLE: Outcome.PASSED,
        Means.EMPTY: Outcome.NO_CODE,
        Means.SHORT: Outcome.TRUNCATED,
        Means.AGAIN: Outcome.PROVIDER_ERROR,
        Means.NEVER: Outcome.PROVIDER_ERROR,
    }[last.means]


def check(ran: Ran, server: ChaoticServer, runs: int) -> None:
    """One row each, none misclassified, nothing held."""
    assert Counter(row.run for row in ran.rows) == Counter(range(1, runs + 1))
    wrong = [
        (row.outcome, row.log_head, names)
        for row in ran.rows
        if row.outcome != expected(plays := server.plays[row.run]) or row.requests != len(plays)
        for names in [[play.name for play in plays]]
    ]
    assert not wrong, f"{len(wrong)} wrong, such as {wrong[:3]}"
    assert (ran.slots.borrowed_tokens, ran.engine.in_flight) == (0, 0)
    asked = sum(play.asks_wait for plays in server.plays.values() for play in plays[:-1])
    assert sum(fault.retry_after is not None for fault in ran.waits) == asked


@pytest.mark.parametrize("seed", range(4))
async def test_attempts_at_a_server_of_faults_end_in_their_own_rows(
    tmp_path: Path, seed: int
) -> None:
    server = ChaoticServer([], seed=seed, share=0.6)
    async with serving(server, LIMITS) as client:
        check(await run(tmp_path, client, 100), server, 100)


async def test_ten_thousand_requests_with_30_percent_faults_are_all_sorted_right(
    tmp_path: Path,
) -> None:
    runs = 8000
    server = ChaoticServer([], seed=5)
    async with serving(server, LIMITS) as client:
        check(await run(tmp_path, client, runs), server, runs)
    plays = [play for plays in server.plays.values() for play in plays]
    assert len(plays) >= 10_000
    assert {play.name for play in server.bad} <= {play.name for play in plays}


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "no key"), (402, "pay"), (403, "forbidden"), (404, "no model m"), (429, "quota")],
)
async def test_a_fault_of_the_target_stops_it_and_what_is_in_flight_ends(
    tmp_path: Path, status: int, message: str
) -> None:
    code_ = "insufficient_quota" if status == 429 else None
    fatal = Play("fatal", Means.NEVER, says(status, message, code=code_))
    server = ChaoticServer([], seed=2, share=0.1, bad=(fatal,))
    async with serving(server, LIMITS) as client:
        ran = await run(tmp_path, client, 2000)
    assert len(ran.rows) + ran.pipeline.skipped == 2000
    assert len({row.run for row in ran.rows}) == len(ran.rows) < 1000
    assert all(row.outcome == expected(server.plays[row.run]) for row in ran.rows)
    assert sum(isinstance(event, TargetStopped) for event in ran.events) == 1
    assert (ran.slots.borrowed_tokens, ran.engine.in_flight) == (0, 0)


async def test_a_server_that_is_not_up_yet_is_asked_again() -> None:
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

        async with connect(PROVIDERS["llamacpp"], url, None, LIMITS) as client:
            target = Target("llamacpp", "m", url, Sampling(seed=1))
            model = ChatModel(target, client, RetryPolicy(2, sleep=start))
            ask = (Message("user", "Hello"),)
            completion = await model.complete(ask, run=1, slot=anyio.Semaphore(1))
        tasks.cancel_scope.cancel()
    await opened.pop().aclose()
    assert (completion.text, completion.requests) == (answer_text(1), 2)
