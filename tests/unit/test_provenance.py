"""The record of a run is good for a resume, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from llmbench.errors import UsageError
from llmbench.store import provenance

TARGET = {
    "provider": "lmstudio",
    "model": "m",
    "base_url": "http://localhost:1234/v1",
    "sampling": {"max_tokens": 4096, "temperature": None, "seed": 1},
    "extra": "{}",
}
RECORD: dict[str, Any] = {
    "run": "r",
    "commands": [["--runs", "2"], ["--resume"]],
    "plan": {"endpoints": [{"targets": [TARGET]}], "problems": {"add": "0"}, "test_timeout": 45.0},
    "sweep_step": None,
    "prompt_template_sha256": {"python": "0"},
    "sessions": [{"sandbox": "docker", "versions": {"python": "3.11"}, "end": None}],
}


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    provenance.write(tmp_path, RECORD)
    assert provenance.read(tmp_path) == RECORD
    assert [path.name for path in tmp_path.iterdir()] == [provenance.NAME]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"commands": [3]}, "commands.0: Input should be a valid list"),
        ({"commands": [[3]]}, "commands.0.0: Input should be a valid string"),
        ({"sessions": []}, "sessions: List should have at least 1 item"),
        ({"sessions": [{}]}, "sessions.0.sandbox: Field required"),
        ({"plan": {"endpoints": [{"targets": [{}]}]}}, "plan.endpoints.0.targets.0.provider: "),
        ({"plan": None}, "plan: "),
    ],
)
def test_an_edited_record_is_refused_with_the_faulty_field(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    provenance.write(tmp_path, RECORD | changes)
    with pytest.raises(UsageError) as error:
        provenance.read(tmp_path)
    path = tmp_path / provenance.NAME
    assert str(error.value).startswith(f"{path}: {fault}")
    assert str(error.value).endswith(": start a new run")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (None, "cannot be read: No such file"),
        (b"{", "not JSON: "),
        (b"\xff", "not JSON: "),
        (bytes(4096), "not JSON: "),
        (b"[]", "the file: "),
    ],
)
def test_a_file_that_is_no_record_is_refused(
    tmp_path: Path, data: bytes | None, fault: str
) -> None:
    if data is not None:
        (tmp_path / provenance.NAME).write_bytes(data)
    with pytest.raises(UsageError) as error:
        provenance.read(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / provenance.NAME}: {fault}")


def test_the_commit_is_that_of_the_checkout() -> None:
    commit = provenance.environment()["git_commit"]
    checkout = (Path(__file__).parents[2] / ".git").exists()
    assert (commit is not None) == checkout
    assert commit is None or len(commit.removesuffix("-dirty")) == 40
    json.dumps(provenance.environment())
