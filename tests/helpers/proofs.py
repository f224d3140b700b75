"""Remembers which grades were seen, so that a gate grades again only after a change.

A grade depends on the problem, the answer, the runner folder and what runs the tests: an image or
the toolchains of a machine. The folder in LLMBENCH_PROOFS holds an empty file for each grade that
was as expected. Without that variable, nothing is remembered.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from llmbench.records import Problem
from llmbench.runners import Runner
from llmbench.sandboxes.local.toolchains import digest


class Proofs:
    """The grades that were seen in one sandbox, all of them as expected.

    `expected` names the grade; `versions` are those of the parts of the sandbox.
    """

    def __init__(self, expected: str, sandbox: str, versions: Mapping[str, str]) -> None:
        folder = os.environ.get("LLMBENCH_PROOFS")
        self._folder = Path(folder) if folder else None
        self._context = [expected, sandbox, sorted(versions.items())]
        self._runners: dict[Path, str] = {}

    def is_known(self, problem: Problem, code: str, runner: Runner) -> bool:
        """True if this answer was seen to get its expected grade."""
        return self._folder is not None and self._path(problem, code, runner).exists()

    def add(self, problem: Problem, code: str, runner: Runner) -> None:
        """Remember that this answer got its expected grade."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path(problem, code, runner).touch()

    def _path(self, problem: Problem, code: str, runner: Runner) -> Path:
        assert self._folder is not None
        if runner.folder not in self._runners:
            self._runners[runner.folder] = digest(runner.folder, ())
        parts = [asdict(problem), code, self._runners[runner.folder], self._context]
        text = json.dumps(parts, sort_keys=True)
        return self._folder / hashlib.sha256(text.encode()).hexdigest()
