"""Remembers which tests of fixed programs passed, so that a gate runs them again after a change.

The verdict of a fixed program depends on the program, the code of the sandboxes, the runners, their
images, and the engines and tools of the machine. The folder in LLMBENCH_PROOFS holds an empty file
for each test that passed with a state of all these. Without that variable, nothing is remembered.
"""

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

ROOT = Path(__file__).resolve().parents[2]

SOURCES = (
    "llmbench/*.py",
    "llmbench/sandboxes/**/*",
    "runners/**/*",
    "tests/*.py",
    "tests/contract/**/*",
    "tests/helpers/**/*",
    "tests/hostile/**/*",
    "pyproject.toml",
    "requirements.lock",
)
"""Files that decide a verdict: programs, the code that grades them, and versions of packages."""

IMAGES = [runner.config.image for runner in load_runners(bundled_dir("runners")).values()]

COMMANDS: tuple[Sequence[str], ...] = (
    ("docker", "version"),
    ("docker", "image", "inspect", "--format", "{{.Id}}", *IMAGES),
    ("podman", "--version"),
    ("runc", "--version"),
    ("runsc", "--version"),
    ("bwrap", "--version"),
)
"""Commands that print the versions of engines, images and tools."""

COMPILED = "__pycache__"


class FixedVerdicts:
    """The tests that passed with one state of sources, images and tools.

    `folder` is that of the proofs; without one, nothing is known and nothing is added.
    """

    def __init__(self, folder: Path | None, root: Path = ROOT) -> None:
        self._folder = folder
        self._root = root

    def is_known(self, test: str) -> bool:
        """True if this test has passed with the state of today."""
        return self._folder is not None and self._path(self._folder, test).exists()

    def add(self, test: str) -> None:
        """Remember that this test has passed."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path(self._folder, test).touch()

    def _path(self, folder: Path, test: str) -> Path:
        return folder / hashlib.sha256(f"{self._state}\0{test}".encode()).hexdigest()

    @cached_property
    def _state(self) -> str:
        """A hash of all that decides a verdict."""
        state = hashlib.sha256(platform.release().encode())
        for path in self._files():
            data = path.read_bytes()
            state.update(f"{path.relative_to(self._root)}\0{len(data)}\0".encode() + data)
        for command in COMMANDS:
            state.update(_output(command))
        return state.hexdigest()

    def _files(self) -> Iterator[Path]:
        for pattern in SOURCES:
            for path in sorted(self._root.glob(pattern)):
                if path.is_file() and COMPILED not in path.parts:
                    yield path


@lru_cache
def of_gate() -> FixedVerdicts:
    """Return what the folder in LLMBENCH_PROOFS remembers."""
    folder = os.environ.get("LLMBENCH_PROOFS")
    return FixedVerdicts(Path(folder, "verdicts") if folder else None)


def _output(command: Sequence[str]) -> bytes:
    """The output of a command; that of a missing one is its absence."""
    try:
        return subprocess.run(command, capture_output=True).stdout
    except FileNotFoundError:
        return b"\0missing"
