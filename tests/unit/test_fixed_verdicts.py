"""A test of a fixed program runs again when a part that decides its verdict has changed."""

from pathlib import Path

import pytest
from helpers.fixed_verdicts import FixedVerdicts

FILES = ("llmbench/sandboxes/launch.py", "runners/go/run.sh", "tests/hostile/programs/go.yaml")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name in (*FILES, "llmbench/cli/run.py", "runners/go/__pycache__/x.pyc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("before")
    return root


def test_what_passed_is_known_to_the_next_run(root: Path, tmp_path: Path) -> None:
    FixedVerdicts(tmp_path / "proofs", root).add("one")
    later = FixedVerdicts(tmp_path / "proofs", root)
    assert later.is_known("one")
    assert not later.is_known("two")


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_known_after_a_change_of_what_decides_a_verdict(
    root: Path, tmp_path: Path, name: str
) -> None:
    FixedVerdicts(tmp_path / "proofs", root).add("one")
    (root / name).write_text("after")
    assert not FixedVerdicts(tmp_path / "proofs", root).is_known("one")


@pytest.mark.parametrize("name", ["llmbench/cli/run.py", "runners/go/__pycache__/x.pyc"])
def test_other_files_do_not_decide_a_verdict(root: Path, tmp_path: Path, name: str) -> None:
    FixedVerdicts(tmp_path / "proofs", root).add("one")
    (root / name).write_text("after")
    assert FixedVerdicts(tmp_path / "proofs", root).is_known("one")


def test_nothing_is_known_without_a_folder(root: Path) -> None:
    verdicts = FixedVerdicts(None, root)
    verdicts.add("one")
    assert not verdicts.is_known("one")
