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
