"""Tests on the workers of a real Dask cluster, which join and leave."""

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import aiodocker
import anyio
import polars as pl
import pytest
from helpers.cli import command, environment, interrupted, journaled_rows, run
from helpers.dask_cluster import Cluster, cluster

from llmbench.errors import NoSandboxError, SandboxError, UsageError
from llmbench.plan import bundled_dir
from llmbench.records import AttemptKey, Outcome, Problem
from llmbench.runners import load_all, load_runners
from llmbench.sandboxes.base import SandboxSpec
from llmbench.sandboxes.dask import sandbox as dask
from llmbench.sandboxes.dask import worker
from llmbench.sandboxes.dask.worker import WorkerRequest
from llmbench.sandboxes.docker import client
from llmbench.sandboxes.docker.endpoints import find_endpoints
from llmbench.sandboxes.open import open_sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

RUNNERS = load_runners(bundled_dir("runners"))
DEMO = ["--provider", "demo", "--model", "demo-large", "--model", "demo-small"]
OUTCOMES = ["target", "problem_id", "run", "outcome"]


@pytest.fixture(name="empty")
def empty_(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler without workers."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    with cluster(folder) as running:
        yield running


def on(running: Cluster) -> list[str]:
    """The flags that send tests to a cluster."""
    return ["--sandbox", "dask", "--dask", running.address]


async def test_workers_that_die_or_join_during_a_run_change_no_outcome(
    empty: Cluster, tmp_path: Path
) -> None:
    empty.start_worker("first")
    flags = [*DEMO, "--langs", "python,go", "--runs", "1", "--out", "rows.parquet"]
    process = await anyio.open_process(
        command(*flags, *on(empty)), cwd=tmp_path, env=environment(), stdin=-3
    )
    async with process:
        with anyio.fail_after(600):
            while journaled_rows(tmp_path) < 3:
                assert process.returncode is None
                await anyio.sleep(0.05)
            await anyio.to_thread.run_sync(empty.start_worker, "second")
            empty.kill("first")
            await process.wait()
        assert process.stderr is not None
        errors = b"".join([data async for data in process.stderr]).decode()
    assert process.returncode == 0, errors
    assert errors.count("is gone: its tests run elsewhere") == 1
    here = await run(tmp_path, *flags[:-1], "here.parquet")
    assert here.code == 0, here.err
    there, local = (
        pl.read_parquet(tmp_path / name).select(OUTCOMES).sort(OUTCOMES)
        for name in ("rows.parquet", "here.parquet")
    )
    assert there.equals(local)
    assert set(pl.read_parquet(tmp_path / "rows.parquet")["sandbox"].drop_nulls()) == {
        "dask/docker"
    }


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("runners/python/run.sh", "# another\n", "has another runners/python"),
        ("llmbench/_version.py", '__version__ = "0.0.1"\n', "has llmbench 0.0.1, not"),
        ("llmbench/sandboxes/dask/worker.py", "raise OSError('no')\n", "it cannot load llmbench"),
    ],
    ids=["runners", "version", "broken"],
)
async def test_a_worker_that_might_judge_differently_is_not_used_and_reported_first(
    empty: Cluster, tmp_path: Path, path: str, text: str, reason: str
) -> None:
    changed = tmp_path / "changed"
    for name in ("llmbench", "runners", "problems"):
        shutil.copytree(bundled_dir("runners").parent / name, changed / name)
    with (changed / path).open("a") as file:
        file.write(text)
    empty.start_worker("other", {"PYTHONPATH": str(changed)})
    flags = [*DEMO[:4], "--only", "python-lru-ttl-cache", "--runs", "1", *on(empty)]
    alone = await run(tmp_path, *flags)
    assert alone.code == 1
    assert "no worker of the cluster can be used" in alone.err
    assert reason in alone.err
    empty.start_worker("same")
    both = await run(tmp_path, *flags)
    assert both.code == 0, both.err
    assert both.err.index(reason) < both.err.index("1 attempt: ")


async def test_a_language_of_ones_own_runs_on_workers_that_have_its_folder(
    empty: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "languages" / "own"
    shutil.copytree(bundled_dir("runners") / "python", folder)
    runners = {"own": load_all([folder])["own"]}
    empty.start_worker("only")
    spec = SandboxSpec("dask", scheduler=empty.address, no_build=True)
    problem = Problem("p", "own", "-", {"test_it.py": "def test_it(): pass"})
    submission = runners["own"].submission(AttemptKey("t", "p", 1), problem, "", 20.0)
    sandbox = await open_sandbox(spec, runners, run_id="r", own_answers=False, notify=print)
    try:
        assert (await sandbox.run(submission)).outcome is Outcome.PASSED
    finally:
        await sandbox.aclose()
    request = WorkerRequest("r", spec, {"own": "another digest"}, own=(str(folder),))
    with pytest.raises(SandboxError, match=f"has another runners/own: copy {folder} there"):
        await worker._open(request)


async def test_ctrl_c_twice_leaves_nothing_on_the_workers(empty: Cluster, tmp_path: Path) -> None:
    empty.start_worker("only")
    ran = await interrupted(
        tmp_path,
        *DEMO,
        *on(empty),
        rows=2,
        signals=[signal.SIGINT, signal.SIGINT],
    )
    assert ran.code == 130, ran.err
    assert await containers_of(tmp_path) == 0


async def containers_of(folder: Path) -> int:
    """Containers of the runs in a folder."""
    async with aiodocker.Docker(find_endpoints()[0].url) as docker:
        runs = [path.name for path in (folder / "_work").iterdir()]
        return sum(
            [len(await client.list_containers(docker, client.RUN_LABEL, name)) for name in runs]
        )


async def test_every_verdict_arrives_however_often_the_workers_are_refreshed(
    empty: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "REFRESH_SECONDS", 0.001)
    for name in ("one", "two"):
        empty.start_worker(name)
    spec = SandboxSpec("dask", scheduler=empty.address, reuse_containers=True)
    python = {"python": RUNNERS["python"]}
    problem = Problem("p", "python", "-", {"test_it.py": "def test_it(): pass"})
    outcomes = []
    sandbox = await open_sandbox(spec, python, run_id="r", own_answers=False, notify=print)

    async def one(run: int) -> None:
        key = AttemptKey("t", "p", run)
        submission = RUNNERS["python"].submission(key, problem, "", 20.0)
        outcomes.append((await sandbox.run(submission)).outcome)

    try:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as tasks:
                for run in range(40):
                    tasks.start_soon(one, run)
    finally:
        await sandbox.aclose()
    assert outcomes == [Outcome.PASSED] * 40


async def test_a_scheduler_that_does_not_answer_is_an_error_of_one_line(tmp_path: Path) -> None:
    ran = await run(tmp_path, *DEMO, "--sandbox", "dask", "--dask", "tcp://127.0.0.1:1")
    assert ran.code == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1


async def test_a_cluster_without_workers_is_an_error_of_one_line(
    empty: Cluster, tmp_path: Path
) -> None:
    ran = await run(tmp_path, *DEMO, *on(empty))
    assert ran.code == 1
    assert "the cluster has no worker: start some with `dask worker`" in ran.err
    assert len(ran.err.strip().splitlines()) == 1


async def test_a_worker_closes_the_sandbox_of_a_run_that_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.2)
    request = WorkerRequest(
        f"test-{os.getpid()}",
        SandboxSpec(reuse_containers=True),
        {"python": worker.runner_digest(RUNNERS["python"])},
    )
    problem = Problem("p", "python", "-", {"test_it.py": "def test_it(): pass"})
    key = AttemptKey("t", "p", 1)
    submission = RUNNERS["python"].submission(key, problem, "", 20.0)
    verdict = await worker.grade(request, submission)
    assert verdict.outcome is Outcome.PASSED
    async with aiodocker.Docker(find_endpoints()[0].url) as docker:
        with anyio.fail_after(20):
            while await client.list_containers(docker, client.RUN_LABEL, request.run_id):
                await anyio.sleep(0.05)
    assert (await worker.grade(request, submission)).outcome is Outcome.PASSED
    await worker.close(request.run_id)


async def test_without_the_extra_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "llmbench.sandboxes.dask.sandbox", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    spec = SandboxSpec("dask", scheduler="tcp://127.0.0.1:1")
    with pytest.raises(UsageError, match=r"pip install 'llmbench\[dask\]'"):
        await open_sandbox(spec, {}, run_id="r", own_answers=False, notify=print)


async def test_a_malformed_address_is_an_error() -> None:
    spec = SandboxSpec("dask", scheduler="nowhere")
    with pytest.raises(NoSandboxError, match="no Dask scheduler answers at nowhere"):
        await open_sandbox(spec, {}, run_id="r", own_answers=False, notify=print)
