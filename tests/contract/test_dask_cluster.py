"""A Dask cluster of two workers: the same programs get the same verdicts, many at once."""

import os
from collections.abc import Iterator

import anyio
import pytest
from helpers.dask_cluster import Cluster, cluster
from test_sandboxes import CONFINED_VERDICTS, LANGUAGES, RUNNERS, VERDICTS, submission

from llmbench.records import Outcome
from llmbench.sandboxes.base import SandboxSpec
from llmbench.sandboxes.open import open_sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

ALL = {**VERDICTS, **CONFINED_VERDICTS}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster"), "one", "two") as running:
        yield running


@pytest.mark.parametrize("lang", LANGUAGES)
async def test_programs_get_their_verdicts_on_a_cluster(workers: Cluster, lang: str) -> None:
    spec = SandboxSpec("dask", scheduler=workers.address)
    needed = {lang: RUNNERS[lang]}
    run_id = f"cluster-{os.getpid()}-{lang}"
    notes: list[str] = []
    outcomes: dict[str, Outcome] = {}
    sandbox = await open_sandbox(
        spec, needed, run_id=run_id, own_answers=False, notify=notes.append
    )
    try:
        versions = await sandbox.versions()
        assert versions["cluster"] == "Dask, 2 workers, 2 threads"
        assert versions["sandbox"] == "docker"

        async def one(name: str) -> None:
            outcomes[name] = (await sandbox.run(submission(lang, name))).outcome

        async with anyio.create_task_group() as tasks:
            for name in ALL:
                tasks.start_soon(one, name)
    finally:
        await sandbox.aclose()
    wrong = {name: outcome for name, outcome in outcomes.items() if outcome not in ALL[name]}
    assert not wrong
    assert outcomes.keys() == ALL.keys()
    assert notes == []
