"""The test that must fail, so that a report can be believed, and what became of the others.

A solution shares the process with its tests, and could patch what they use.
"""

import unittest
from collections.abc import Callable, Generator

import pytest
from _pytest.runner import runtestprotocol

FAILED, COMPILE_ERROR = 1, 3


class Canary:
    """A plugin of pytest that adds a test of this name after all others, and counts those."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.caught = self.refused = False
        self.passed = self.failed = 0

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Add the canary to the module of the last test: it looks like one of them."""
        if items:
            module = items[-1].getparent(pytest.Module)
            items.append(pytest.Function.from_parent(module, name=self.name, callobj=fail))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item) -> bool | None:
        """Tell everyone of the canary but who prints: the log shows the problem's own tests."""
        if item.name != self.name:
            return None
        plugins = item.config.pluginmanager
        printer = plugins.getplugin("terminalreporter")
        tell = plugins.subset_hook_caller("pytest_runtest_logreport", [printer])
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            tell(report=report)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Skipped by its own mark is the author's wish, skipped otherwise the solution's."""
        report = yield
        if report.skipped and not hasattr(report, "wasxfail") and not _is_marked(item):
            report.outcome, report.longrepr = "failed", "skipped while it ran, by no mark"
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """What is skipped while it is imported has failed."""
        report = yield
        if report.skipped:
            report.outcome, report.longrepr = "failed", "skipped while it was imported"
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that something could not be imported."""
        self.refused = self.refused or report.failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count."""
        if report.nodeid.endswith(f"::{self.name}"):
            self.caught = self.caught or report.failed
        elif report.failed:
            self.failed += 1
        elif report.passed and report.when == "call":
            self.passed += 1

    def exit_code(self) -> int:
        """What run.sh ends with."""
        if self.refused:
            return COMPILE_ERROR
        return 0 if self.caught and self.passed and not self.failed else FAILED


def _is_marked(item: pytest.Function) -> bool:
    by_unittest = any(getattr(o, "__unittest_skip__", False) for o in (item.obj, item.cls))
    return by_unittest or any(mark.name in ("skip", "skipif") for mark in item.iter_markers())


def fail() -> None:
    """Fail, but only if every usual way to assert still works."""
    case = unittest.TestCase()
    ways: list[Callable[[], object]] = [
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
        lambda: pytest.fail("as it should"),
        lambda: pytest.raises(ValueError, int),
    ]
    for way in ways:
        try:
            way()
        except (AssertionError, pytest.fail.Exception):
            continue
        return
    if pytest.approx(1) != 2:
        raise AssertionError("as it should: failures are reported")
