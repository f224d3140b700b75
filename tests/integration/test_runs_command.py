"""`llmbench runs`: what is in the work folder, and its removal."""

import json
from pathlib import Path

import pytest
from helpers.cli import run
from helpers.factories import row

from llmbench.store import provenance
from llmbench.store.journal import Journal, ResultEntry

pytestmark = pytest.mark.anyio


def write_run(root: Path, name: str, start: str, attempts: int, planned: int = 3) -> Path:
    folder = root / "_work" / name
    folder.mkdir(parents=True)
    target = {"provider": "vllm", "model": "m", "base_url": "", "sampling": {}, "extra": ""}
    provenance.write(
        folder,
        {
            "run": name,
            "options": {},
            "plan": {
                "endpoints": [{"targets": [target]}],
                "problems": {"add": "x"},
                "test_timeout": 45.0,
                "runs": planned,
            },
            "sweep_step": None,
            "prompt_template_sha256": {},
            "sessions": [{"sandbox": "docker", "versions": {}, "start": start, "end": None}],
        },
    )
    with Journal(folder) as journal:
        for number in range(1, attempts + 1):
            journal.append(ResultEntry(row(run=number)))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_run(tmp_path, "20260101-120000-aaaa", "2026-01-01T12:00:00+00:00", 3)
    write_run(tmp_path, "20260201-120000-bbbb", "2026-02-01T12:00:00+00:00", 1)
    (tmp_path / "_work/notes").mkdir()
    (tmp_path / "_work/20260301-120000-cccc").mkdir()
    (tmp_path / "_work/20260301-120000-cccc/journal.jsonl").write_text("{torn")
    return tmp_path


async def test_runs_are_listed_with_date_targets_state_and_size(root: Path) -> None:
    ran = await run(root, "runs")
    assert ran.code == 0, ran.err
    lines = [line for line in ran.out.splitlines() if "2026" in line]
    for line, words in zip(
        lines,
        (["2026-01-01", "complete", "vllm/m", "3/3"], ["unfinished", "1/3"], ["unknown", "0/?"]),
        strict=True,
    ):
        for word in words:
            assert word in line
    assert "3 runs, 0.0 MB" in ran.out
    ran = await run(root, "runs", "list", "--format", "json")
    states = {line["run"]: (line["state"], line["bytes"] > 0) for line in json.loads(ran.out)}
    assert states["20260201-120000-bbbb"] == ("unfinished", True)
    assert "notes" not in states


async def test_runs_are_removed_by_name_and_by_date(root: Path) -> None:
    ran = await run(root, "runs", "remove", "20260201-120000-bbbb")
    assert ran.code == 0, ran.err
    assert "removed _work/20260201-120000-bbbb" in ran.out
    ran = await run(root, "runs", "remove", "--before", "2026-01-02")
    assert ran.code == 0, ran.err
    remaining = sorted(path.name for path in (root / "_work").iterdir())
    assert remaining == ["20260301-120000-cccc", "notes"]


async def test_a_run_that_is_being_written_is_not_removed(root: Path) -> None:
    with Journal(root / "_work/20260101-120000-aaaa"):
        ran = await run(root, "runs")
        assert "running" in ran.out
        ran = await run(root, "runs", "remove", "--before", "2026-12-31")
    assert ran.code == 1
    assert "a process is writing this run" in ran.err
    remaining = sorted(path.name for path in (root / "_work").iterdir())
    assert remaining == ["20260101-120000-aaaa", "20260301-120000-cccc", "notes"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("remove", "name the runs to remove, or give --before"),
        ("remove ../elsewhere", "../elsewhere: no such run in _work"),
        ("remove notes", "notes: no such run in _work"),
        ("remove --before soon", "'soon' is not a date"),
        ("--work-dir none", "none: no such folder"),
    ],
)
async def test_wrong_usage_removes_nothing_and_is_one_line(
    root: Path, flags: str, words: str
) -> None:
    ran = await run(root, "runs", *flags.split())
    assert ran.code == 2
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
    assert len(list((root / "_work").iterdir())) == 4
