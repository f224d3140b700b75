"""The runner of Python believes the functions of tests, and not what hooks make of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmbench.plan import bundled_dir
from llmbench.sandboxes.verdict import Execution, judge

RUN = bundled_dir("runners") / "python" / "run.py"
CANARY = "canary_0123"
TESTS = """
import pytest
from solution import double

def test_of_two(): assert double(2) == 4

@pytest.mark.parametrize("x", [3, 5])
def test_of_odd(x): assert double(x) == 2 * x
"""
NEXT = """
from solution import double

def test_of_four(): assert double(4) == 8
"""
HONEST = "def double(x): return 2 * x\n"
REGISTER = """
for thing in gc.get_objects():
    if isinstance(thing, pytest.PytestPluginManager): thing.register(Hooks())
def double(x): return 4
"""
CALLS_NONE = """
import gc, pytest
class Hooks:
    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem): return pyfuncitem.name.startswith("test_") or None
"""
CHANGES_REPORTS = """
import gc, pytest
class Hooks:
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item):
        report = yield
        if item.name.startswith("test_"): report.outcome, report.longrepr = "passed", None
        return report
"""
REPLACES_TESTS = """
import gc, pytest
class Hooks:
    def pytest_collection_modifyitems(self, items):
        for item in items: item.obj = lambda x=0: None
"""
REPLACES_CODE = """
import sys
def double(x):
    for value in list(sys._getframe(1).f_globals.values()):
        if getattr(value, "__name__", "") == "test_of_odd": value.__code__ = (lambda x: 0).__code__
    return 4
"""

CHANGES_THE_NEXT_FILE = """
open("test_the_next.py", "w").write("def test_of_four(): pass")
def double(x): return 0 if x == 4 else 2 * x
"""


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (HONEST, "passed"),
        (CALLS_NONE + REGISTER, "failed"),
        (CHANGES_REPORTS + REGISTER, "failed"),
        (REPLACES_TESTS + REGISTER, "failed"),
        (REPLACES_CODE, "failed"),
        (CHANGES_THE_NEXT_FILE, "compile_error"),
    ],
    ids=[
        *("honest", "calls-none", "changes-reports", "replaces-tests", "replaces-code"),
        "changes-the-next-file",
    ],
)
def test_only_functions_that_returned_have_passed(
    answer: str, outcome: str, tmp_path: Path
) -> None:
    (tmp_path / "solution.py").write_text(answer)
    (tmp_path / "test_solution.py").write_text(TESTS)
    (tmp_path / "test_the_next.py").write_text(NEXT)
    done = subprocess.run(
        [sys.executable, "-P", str(RUN)],
        input=f"{CANARY}\n".encode(),
        capture_output=True,
        cwd=tmp_path,
        env={"PATH": os.defpath, "HOME": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    log = done.stderr.decode()
    execution = Execution(done.returncode, False, False, done.stdout, log, CANARY, 1.0)
    assert judge(execution, "junit").outcome == outcome, log


def test_packages_that_were_installed_uncompiled_are_compiled_once(tmp_path: Path) -> None:
    names = ["pytest", "pytest_asyncio", "fastapi", "httpx", "sqlalchemy", "pydantic", "_pytest"]
    for name in [*names, "fastapi/testclient", "sqlalchemy/orm", "unused"]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("import used\n" if name == "httpx" else "")
    (tmp_path / "used.py").write_text("")
    (tmp_path / "pytest" / "seldom.py").write_text("")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def compiled() -> dict[str, int]:
        done = subprocess.run(["sh", str(RUN.with_name("check.sh"))], env=env, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        return {
            f"{path.relative_to(tmp_path).parent.parent}/{path.name.partition('.')[0]}": (
                path.stat().st_mtime_ns
            )
            for path in tmp_path.rglob("*.pyc")
        }

    first = compiled()
    sources = {
        f"{path.relative_to(tmp_path).parent}/{path.stem}" for path in tmp_path.rglob("*.py")
    }
    assert set(first) == sources - {"unused/__init__"}
    assert compiled() == first


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/bin:/usr/bin"}
    check = ["sh", str(RUN.with_name("check.sh"))]
    done = subprocess.run(check, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Python packages are missing: ")
    assert "sqlalchemy" in done.stderr
