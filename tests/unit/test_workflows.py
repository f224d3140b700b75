"""The workflows, the issue forms and the changelog fit the repository."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmbench import __version__
from llmbench.cli import COMMANDS, load_command

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))
FORMS = sorted(
    set(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml")) - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"}
)


def steps(path: Path) -> Iterator[dict[str, Any]]:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    for job in workflow["jobs"].values():
        yield from job["steps"]


def commands(path: Path) -> Iterator[list[str]]:
    """Yield the words of each command that a workflow runs."""
    for step in steps(path):
        for command in re.split(r"&&|\n", step.get("run", "")):
            yield shlex.split(command.split(" >> ")[0])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_of_a_workflow_exists(path: Path) -> None:
    for words in commands(path):
        if words[:1] == ["llmbench"] and "--version" not in words:
            assert words[1] in COMMANDS
            load_command(words[1]).parse(words[2:])
        for word in words:
            if word.startswith(("scripts/", "tests/")):
                assert (ROOT / word).exists()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_a_job_asks_for_more(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    actions = [step["uses"] for step in steps(path) if "uses" in step]
    assert actions
    assert all(re.fullmatch(r"[\w-]+/[\w/-]+@[\w./-]+", action) for action in actions)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_a_name_and_questions(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    assert {part["type"] for part in form["body"]} <= {"textarea", "input", "markdown"}
    assert all(
        part["attributes"].get("label") or part["type"] == "markdown" for part in form["body"]
    )


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d{2}-\d{2})?$", text, re.MULTILINE)
    assert next(name for name in releases if name != "Unreleased") == __version__
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
