"""A test that has passed runs again when a part that decides its result has changed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import file_trace
from helpers.import_closure import Imports
from helpers.remembered import Group, Remembered

SOURCES = {
    "pyproject.toml": "",
    "README.md": "",
    "llmbench/__init__.py": "from importlib import import_module\nimport_module('llmbench.api')",
    "llmbench/api.py": "",
    "llmbench/errors.py": "",
    "llmbench/records.py": "def f():\n    from llmbench.errors import E",
    "llmbench/runs/__init__.py": "",
    "llmbench/runs/run.py": "from ..records import Row",
    "llmbench/sandboxes/__init__.py": "",
    "llmbench/sandboxes/kinds.py": "OPENER = 'llmbench.sandboxes.process:Sandbox'",
    "llmbench/sandboxes/process.py": "",
    "llmbench/importers/__init__.py": "import_module(f'{__name__}.{format}')",
    "llmbench/importers/mbpp.py": "",
    "llmbench/reports/page.py": "",
    "llmbench/reports/assets/page.css": "",
    "problems/go.yaml": "",
    "docs/pages.md": "",
    "scripts/docs.py": "",
    "runners/go/run.sh": "",
    "tests/conftest.py": "",
    "tests/helpers/remembered.py": "",
    "tests/helpers/rows.py": "from llmbench import records",
    "tests/unit/programs/go.yaml": "",
    "tests/unit/test_rows.py": "from helpers.rows import row",
    "tests/unit/test_page.py": "import llmbench.reports.page",
    "tests/unit/test_manual.py": "import docs",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name, text in SOURCES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def remembered(root: Path, tmp_path: Path) -> Callable[..., Remembered]:
    def make(machine: str = "this") -> Remembered:
        return Remembered(tmp_path / "proofs", root, machine)

    return make


def group(root: Path, name: str = "test_rows", *, fixed: bool = False) -> Group:
    return Group(root / f"tests/unit/{name}.py", "", fixed)


def test_a_test_is_known_to_the_next_session(
    root: Path, remembered: Callable[..., Remembered]
) -> None:
    first = remembered()
    first.add(group(root), "one")
    assert not first.is_known(group(root), "one")
    first.save()
    second = remembered()
    assert second.is_known(group(root), "one")
    assert not second.is_known(group(root), "two")
    second.add(group(root), "two")
    second.save()
    assert all(remembered().is_known(group(root), test) for test in ("one", "two"))


def test_workers_that_share_a_file_remember_the_tests_of_all(
    root: Path, remembered: Callable[..., Remembered]
) -> None:
    workers = {name: remembered() for name in ("one", "two", "three")}
    for name, worker in workers.items():
        assert not worker.is_known(group(root), name)
        worker.add(group(root), name)
    for worker in workers.values():
        worker.save()
    assert all(remembered().is_known(group(root), name) for name in workers)


@pytest.mark.parametrize(
    ("changed", "is_known"),
    [
        ("tests/unit/test_rows.py", False),
        ("tests/helpers/rows.py", False),
        ("llmbench/records.py", False),
        ("llmbench/errors.py", False),  # which a function imports
        ("runners/go/run.sh", False),
        ("tests/unit/programs/go.yaml", False),
        ("pyproject.toml", False),
        ("llmbench/runs/run.py", True),
        ("llmbench/api.py", True),
        ("llmbench/reports/assets/page.css", True),
        ("problems/go.yaml", True),
        ("README.md", True),
    ],
)
def test_the_files_that_a_test_imports_decide_it(
    root: Path, remembered: Callable[..., Remembered], changed: str, is_known: bool
) -> None:
    before = remembered()
    before.add(group(root), "one")
    before.save()
    (root / changed).write_text("changed = True")
    assert remembered().is_known(group(root), "one") == is_known


@pytest.mark.parametrize(
    ("name", "changed"),
    [("test_page", "llmbench/reports/assets/page.css"), ("test_manual", "docs/pages.md")],
)
def test_data_beside_the_code_and_the_manual_decide(
    root: Path, remembered: Callable[..., Remembered], name: str, changed: str
) -> None:
    before = remembered()
    before.add(group(root, name), "one")
    before.save()
    (root / changed).write_text("changed")
    assert not remembered().is_known(group(root, name), "one")


def test_another_machine_knows_nothing(root: Path, remembered: Callable[..., Remembered]) -> None:
    before = remembered()
    before.add(group(root), "one")
    before.save()
    assert not remembered("another").is_known(group(root), "one")


@pytest.mark.parametrize("fixed", [False, True])
def test_all_sources_decide_a_test_that_starts_processes_unless_its_program_is_fixed(
    root: Path, remembered: Callable[..., Remembered], fixed: bool
) -> None:
    file_trace.install()
    before = remembered()
    with before.watching(group(root, fixed=fixed)):
        subprocess.run([sys.executable, "-c", ""], check=True, cwd="/")
    before.add(group(root, fixed=fixed), "one")
    before.save()
    (root / "llmbench/runs/run.py").write_text("")
    assert remembered().is_known(group(root, fixed=fixed), "one") == fixed


@pytest.mark.parametrize(
    ("folder", "argument", "is_known"),
    [(".", "", False), ("..", "docs", False), ("..", "tests/conftest.py", True), ("..", "", True)],
)
def test_documents_but_no_other_tests_decide_a_test_whose_process_can_read_them(
    root: Path,
    remembered: Callable[..., Remembered],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    argument: str,
    is_known: bool,
) -> None:
    monkeypatch.setattr(file_trace, "ROOT", root)
    file_trace.install()
    before, mine = remembered(), group(root)
    with before.watching(mine):
        words = [str(root / argument)] if argument else []
        subprocess.run([sys.executable, "-c", "", *words], check=True, cwd=root / folder)
    before.add(mine, "one")
    before.save()
    (root / "tests/unit/test_page.py").write_text("changed")
    assert remembered().is_known(mine, "one")
    (root / "README.md").write_text("changed")
    assert remembered().is_known(mine, "one") == is_known


def test_the_memory_itself_reads_nothing_for_a_test(
    root: Path, remembered: Callable[..., Remembered], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_trace, "ROOT", root)
    file_trace.install()
    mine = group(root)
    for name in ("one", "two"):
        memory = remembered()
        with memory.watching(mine):
            assert not memory.is_known(mine, name)
        memory.add(mine, name)
        memory.save()
    (root / "llmbench/runs/more.py").write_text("")
    assert remembered().is_known(mine, "two")


@pytest.mark.parametrize("at_import", [False, True])
@pytest.mark.parametrize("changed", ["README.md", "llmbench/runs/more.py"])
def test_files_and_folders_that_were_read_decide(
    root: Path,
    remembered: Callable[..., Remembered],
    monkeypatch: pytest.MonkeyPatch,
    changed: str,
    at_import: bool,
) -> None:
    monkeypatch.setattr(file_trace, "ROOT", root)
    monkeypatch.chdir(root)
    file_trace.install()
    before, mine = remembered(), group(root)
    with before.importing(mine.path) if at_import else before.watching(mine):
        Path("README.md").read_text()
        os.listdir(root / "llmbench" / "runs")  # noqa: PTH208
    before.add(mine, "one")
    before.save()
    assert remembered().is_known(mine, "one")
    (root / changed).write_text("changed")
    assert not remembered().is_known(mine, "one")


def imported(root: Path, text: str) -> set[str]:
    test = root / "tests/unit/test_new.py"
    test.write_text(text)
    files = Imports(root).closure(test) - {test}
    return {str(path.relative_to(root)) for path in files} - {"llmbench/__init__.py"}


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("from llmbench.runs import run", {"runs/__init__", "runs/run", "records", "errors"}),
        ("import llmbench\nllmbench.__file__", set()),
        (
            "import llmbench.sandboxes.kinds",
            {"sandboxes/__init__", "sandboxes/kinds", "sandboxes/process"},
        ),
        ("import llmbench.importers", {"importers/__init__", "importers/mbpp"}),
    ],
)
def test_imports_are_followed(root: Path, text: str, files: set[str]) -> None:
    assert imported(root, text) == {f"llmbench/{name}.py" for name in files}


@pytest.mark.parametrize("text", ["from llmbench import run", "import llmbench\nllmbench.run()"])
def test_the_interface_of_the_package_needs_all_of_it(root: Path, text: str) -> None:
    package = {name for name in SOURCES if name.startswith("llmbench/") and name.endswith(".py")}
    assert imported(root, text) == package - {"llmbench/__init__.py"}
