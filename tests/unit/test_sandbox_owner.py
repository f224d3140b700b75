import subprocess
from pathlib import Path

import pytest

from llmbench.sandboxes.docker import owner


def test_a_running_process_is_not_dead() -> None:
    assert not owner.is_dead(owner.owner_label())


@pytest.mark.parametrize(("part", "value"), [(1, "another-boot"), (2, "4194305"), (3, "1")])
def test_a_process_with_another_boot_id_or_start_is_dead(part: int, value: str) -> None:
    parts = owner.owner_label().split("/")
    parts[part] = value
    assert owner.is_dead("/".join(parts))


@pytest.mark.parametrize("label", ["", "elsewhere/boot/1/1", "a/b", "a/b/c/d/e"])
def test_labels_of_other_hosts_are_not_dead(label: str) -> None:
    assert not owner.is_dead(label)


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A system without /proc, such as macOS."""
    monkeypatch.setattr(owner, "PROC", tmp_path / "proc")


@pytest.mark.usefixtures("no_proc")
def test_without_proc_a_dead_process_is_known_by_its_start() -> None:
    label = owner.owner_label()
    host, _, pid, start = label.split("/")
    assert not owner.is_dead(label)
    assert owner.is_dead(f"{host}/-/{pid}/Thu-Jan-1-00:00:00-1970")
    with subprocess.Popen(["sleep", "60"]) as process:
        assert not owner.is_dead(f"{host}/-/{process.pid}/{owner._start_time(process.pid)}")
        process.kill()
    assert owner.is_dead(f"{host}/-/{process.pid}/{start}")
    assert owner.is_dead(f"{host}/-/{process.pid}/{owner.UNKNOWN}")


@pytest.mark.usefixtures("no_proc")
def test_a_process_whose_start_cannot_be_told_is_not_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    label = owner.owner_label()
    assert not owner.is_dead(label.rpartition("/")[0] + f"/{owner.UNKNOWN}")
    monkeypatch.setenv("PATH", "/nowhere")
    assert not owner.is_dead(label)
