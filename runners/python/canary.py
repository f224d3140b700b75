"""The canary: a test that must fail, so that a test report can be trusted.

A solution shares the process with its tests and could patch the tools that they use. The plugin
here adds the canary, counts the other tests and decides the exit code of `run.sh`.
"""

import ast
import functools
import inspect
import linecache
import marshal
import sys
import unittest
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType

import pytest
from _pytest.runner import runtestprotocol
from _pytest.unittest import TestCaseFunction

FAILED, COMPILE_ERROR = 1, 3

PYC_HEADER = MAGIC_NUMBER + bytes(12)
"""The header of compiled code without its source."""

UNPROVED = "[tests count as passed only if their functions were called and returned: {}]\n"


class Canary:
    """A pytest plugin that adds a test called `name` after all others, and counts the others."""

    def __init__(self) -> None:
        self.name = ""
        self.canary_failed = self.import_failed = False
        self.passed: set[str] = set()
        self.failed = 0
        self.bodies: dict[str, CodeType | None] = {}
        self.may_fail: set[str] = set()
        self.returned: set[str] = set()
        self.raised: set[str] = set()
        self.running = ""
        self.files: dict[Path, bytes] = {}
        self.sources: dict[str, list[str]] = {}

    def begin(self, name: str, files: Mapping[Path, bytes]) -> None:
        """Begin with these files of the current folder, and call the added test `name`."""
        self.name = name
        self.files = {path.resolve(): data for path, data in files.items()}

    def changed_file(self) -> str | None:
        """Return the name of a file that is not what it was before the solution was loaded."""
        for path, data in self.files.items():
            try:
                same = path.read_bytes() == data
            except OSError:
                same = False
            if not same:
                return path.name
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Add the canary to the module of the last test, so that it looks like a test of it."""
        if items:
            module = items[-1].getparent(pytest.Module)
            canary = pytest.Function.from_parent(
                module, name=self.name, callobj=fail_if_assertions_work
            )
            # Nobody reads this failure, and to show its source takes longer than to run a test.
            setattr(canary, "repr_failure", lambda *_: "as it should")  # noqa: B010
            items.append(canary)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember the tests, and take away their text, which says what they expect.

        What they were compiled to stays, so that other processes can import them.
        """
        for item in session.items:
            if isinstance(item, pytest.Function) and item.name != self.name:
                if not is_replaced(item):
                    self.bodies[item.nodeid] = body_of(item.obj)
                if _has_mark(item):
                    self.may_fail.add(item.nodeid)
        for path in {item.path for item in session.items if item.path.suffix == ".py"}:
            with suppress(OSError, SyntaxError, ValueError):
                text = path.read_text(encoding="utf-8")
                code = compile(text, str(path), "exec", dont_inherit=True)
                path.with_suffix(".pyc").write_bytes(PYC_HEADER + marshal.dumps(code))
                path.unlink()
                self.sources[str(path)] = text.splitlines(keepends=True)
                linecache.cache.pop(str(path), None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item) -> bool | None:
        """Hide the canary from the terminal reporter: the log shows the problem's own tests."""
        if item.name != self.name:
            return None
        plugins = item.config.pluginmanager
        terminal = plugins.getplugin("terminalreporter")
        log_report = plugins.subset_hook_caller("pytest_runtest_logreport", [terminal])
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            log_report(report=report)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch the function of a test from within: hooks of a solution may not tell the truth."""
        if not isinstance(item, pytest.Function) or item.name == self.name:
            return (yield)
        function = item.obj
        item.obj = self.watched(item.nodeid, function)
        self.running = item.nodeid
        if isinstance(item, TestCaseFunction) and inspect.iscoroutinefunction(function):
            setattr(item.instance, item.name, item.obj)  # unittest calls this one by its name
        try:
            return (yield)
        finally:
            item.obj, self.running = function, ""

    def watched(self, test: str, function: Callable[..., object]) -> Callable[..., object]:
        """Return the function of a test, which then remembers whether it returned or raised."""

        def ended(well: bool) -> None:
            same = test in self.bodies and self.bodies[test] is body_of(function)
            (self.returned if well and same else self.raised).add(test)

        if inspect.iscoroutinefunction(function):
            coroutine = function

            @functools.wraps(function)
            async def call_async(*args: object, **kwargs: object) -> object:
                well = False
                try:
                    result: object = await coroutine(*args, **kwargs)
                    well = True
                finally:
                    ended(well)
                return result

            return call_async

        @functools.wraps(function)
        def call(*args: object, **kwargs: object) -> object:
            well = False
            try:
                result = function(*args, **kwargs)
                well = True
            finally:
                ended(well)
            return result

        return call

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail a test that was not called, or was skipped without a skip mark: by the solution.

        For the log of a failed test its text is there again.
        """
        for path, lines in self.sources.items() if call.excinfo else ():
            linecache.cache[path] = (sum(map(len, lines)), None, lines, path)
        report = yield
        for path in self.sources if call.excinfo else ():
            linecache.cache.pop(path, None)
        if report.passed and report.when == "call" and not self.is_proved(item):
            report.outcome, report.longrepr = "failed", "passed, but its function did not return"
        if report.skipped and not hasattr(report, "wasxfail") and not _has_skip_mark(item):
            report.outcome, report.longrepr = "failed", "skipped while it ran, without a mark"
        return report

    def is_proved(self, item: pytest.Item) -> bool:
        """Return True if a test's function returned or may fail, or if a subtest of it runs."""
        test = item.nodeid
        proved = test in self.returned or test in self.may_fail or test == self.running
        return proved or item.name == self.name

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Fail a module that is skipped during its import, or whose files a solution changed."""
        changed = self.changed_file()
        report = yield
        if changed:
            report.outcome, report.longrepr = "failed", f"{changed} was changed by the solution"
        if report.skipped:
            report.outcome, report.longrepr = "failed", "skipped while it was imported"
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a failed import."""
        self.import_failed = self.import_failed or report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test, or remember that the canary failed."""
        if report.nodeid.endswith(f"::{self.name}"):
            self.canary_failed = self.canary_failed or report.failed
        elif report.failed:
            self.failed += 1
        elif report.passed and report.when == "call":
            self.passed.add(report.nodeid)

    def exit_code(self) -> int:
        """Return the exit code of `run.sh`."""
        if self.import_failed:
            return COMPILE_ERROR
        fine = self.canary_failed and self.passed and not self.failed
        unproved = (self.passed | self.bodies.keys()) - self.may_fail
        unproved -= self.returned - self.raised
        if fine and unproved:
            sys.stderr.write(UNPROVED.format(", ".join(sorted(unproved))))
        return 0 if fine and not unproved else FAILED


def body_of(function: object) -> CodeType | None:
    """Return the code of a function below its decorators, or None if it has none."""
    plain = inspect.unwrap(function) if callable(function) else function
    code = getattr(getattr(plain, "__func__", plain), "__code__", None)
    return code if isinstance(code, CodeType) else None


def is_replaced(item: pytest.Function) -> bool:
    """Return True if the file of a test defines its function, but that is of another file.

    Decorators other than marks may put a function of theirs in its place.
    """
    body = body_of(item.obj)
    if body is None or Path(body.co_filename).name == item.path.name:
        return False
    node: ast.AST | None = _parsed(item.path)
    for name in item.nodeid.partition("[")[0].split("::")[1:]:
        children: Sequence[ast.AST] = getattr(node, "body", ())
        node = next((c for c in children if getattr(c, "name", None) == name), None)
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return all(ast.unparse(each).startswith("pytest.mark.") for each in node.decorator_list)


@functools.lru_cache
def _parsed(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _has_mark(item: pytest.Function) -> bool:
    """Return True if a mark of its author lets a test be skipped or fail."""
    fails = getattr(item.obj, "__unittest_expecting_failure__", False)
    return bool(fails) or _has_skip_mark(item) or item.get_closest_marker("xfail") is not None


def _has_skip_mark(item: pytest.Function) -> bool:
    by_unittest = any(getattr(o, "__unittest_skip__", False) for o in (item.obj, item.cls))
    return by_unittest or any(mark.name in ("skip", "skipif") for mark in item.iter_markers())


def fail_if_assertions_work() -> None:
    """Fail, but only if every usual assertion still works."""
    case = unittest.TestCase()
    assertions: list[Callable[[], object]] = [
        lambda: case.fail(),
        lambda: case.assertTrue(False),
        lambda: case.assertFalse(True),
        lambda: case.assertEqual(1, 2),
        lambda: case.assertEqual([1], [2]),
        lambda: case.assertEqual({"a": 1}, {"a": 2}),
        lambda: case.assertEqual("a", "b"),
        lambda: case.assertNotEqual(1, 1),
        lambda: case.assertIs(None, 1),
        lambda: case.assertIn(1, []),
        lambda: case.assertIsNone(1),
        lambda: case.assertIsInstance(1, str),
        lambda: case.assertAlmostEqual(1, 2),
        lambda: case.assertRaises(ValueError, int),
        lambda: pytest.fail("expected"),
        lambda: pytest.raises(ValueError, int),
    ]
    for assertion in assertions:
        try:
            assertion()
        except (AssertionError, pytest.fail.Exception):
            continue
        return
    if pytest.approx(1) != 2:
        raise AssertionError("expected: failures are reported")
