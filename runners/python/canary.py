"""The canary: a test that must fail, so that a test report can be trusted.

A solution shares the process with its tests and could patch the tools that they use. The plugin
here adds the canary, counts the other tests and decides the exit code of `run.sh`.
"""

import linecache
import py_compile
import unittest
from collections.abc import Callable, Generator
from contextlib import suppress

import pytest
from _pytest.runner import runtestprotocol
from _pytest.unittest import TestCaseFunction

FAILED, COMPILE_ERROR = 1, 3


class Canary:
    """A pytest plugin that adds a test called `name` after all others, and counts the others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.canary_failed = self.import_failed = False
        self.passed = self.failed = 0
        self.called: set[str] = set()
        self.sources: dict[str, list[str]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Add the canary to the module of the last test, so that it looks like a test of it."""
        if items:
            module = items[-1].getparent(pytest.Module)
            canary = pytest.Function.from_parent(
                module, name=self.name, callobj=fail_if_assertions_work
            )
            items.append(canary)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take away the text of the tests, in which the solution could read what they expect.

        What they were compiled to stays, so that other processes can import them.
        """
        for path in {item.path for item in session.items if item.path.suffix == ".py"}:
            with suppress(OSError, SyntaxError, ValueError, py_compile.PyCompileError):
                lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
                py_compile.compile(str(path), str(path.with_suffix(".pyc")), doraise=True)
                path.unlink()
                self.sources[str(path)] = lines
        linecache.clearcache()

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
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Remember that the function of a test was called."""
        self.called.add(pyfuncitem.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail a test that was not called, or was skipped without a skip mark: by the solution.

        For the log of a failed test its text is there again.
        """
        for path, lines in self.sources.items():
            linecache.cache[path] = (sum(map(len, lines)), None, lines, path)
        report = yield
        for path in self.sources:
            linecache.cache.pop(path, None)
        called = item.nodeid in self.called or isinstance(item, TestCaseFunction)
        if report.passed and report.when == "call" and not called:
            report.outcome, report.longrepr = "failed", "passed without being called"
        if report.skipped and not hasattr(report, "wasxfail") and not _has_skip_mark(item):
            report.outcome, report.longrepr = "failed", "skipped while it ran, without a mark"
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Fail a module that is skipped during its import."""
        report = yield
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
            self.passed += 1

    def exit_code(self) -> int:
        """Return the exit code of `run.sh`."""
        if self.import_failed:
            return COMPILE_ERROR
        return 0 if self.canary_failed and self.passed and not self.failed else FAILED


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
