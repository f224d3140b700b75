"""Ids for the users of attempts under bubblewrap."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from llmbench.sandboxes.local import users
from llmbench.sandboxes.local.users import Users


def test_root_gives_ids_far_from_those_of_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    found = Users.find()
    assert found is not None
    assert found.uids.start >= 2**30


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("1234:100000:65536\n", range(100000, 165536)),
        ("other:1:2\n1234:5:6\n1234:7:8\n", range(5, 11)),
        ("other:100000:65536\n", None),
        ("1234:100000:0\n", None),
        ("1234:x:y\n1234\n\n", None),
        ("", None),
    ],
)
def test_an_ordinary_user_gives_its_subordinate_ids(
    text: str, ids: range | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "subuid"
    file.write_text(text)
    monkeypatch.setattr(users, "SUBORDINATE", (file, file))
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    found = Users.find()
    assert (found.uids if found else None) == ids


@pytest.mark.parametrize("missing", ["setpriv", "newuidmap", "newgidmap"])
def test_without_its_programs_no_user_is_given(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "subuid"
    file.write_text("1234:100000:65536\n")
    monkeypatch.setattr(users, "SUBORDINATE", (file, file))
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else name)
    assert Users.find() is None


def test_no_two_attempts_at_once_have_the_same_user() -> None:
    given = Users(range(100, 103), range(200, 203))
    with ExitStack() as stack:
        entries = [given.entry(stack) for _ in range(3)]
        assert {entry.ids for entry in entries if entry} == {(100, 200), (101, 201), (102, 202)}
        assert given.entry(stack) is None
    with ExitStack() as stack:
        assert given.entry(stack) is not None
