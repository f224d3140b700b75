"""Remembers which tests passed, so that a gate runs them again only after a change.

A test is known if it has passed with the same state of all that can decide its result:

- its file, and all files that it imports (`import_closure`),
- the runners, the data in the folders of these files, and the versions of packages,
- each other file and folder of the checkout that it has read (`file_trace`),
- Python, the kernel, the engines, the images and the tools of the machine,
- if it starts processes, all sources and all problems; if such a process works in the checkout or
  gets a part of it as an argument, everything but the files of other tests. A test with the marker
  `fixed_verdict` starts only a sandbox with a runner, which the imports and the runners tell.

The folder in LLMBENCH_PROOFS holds a file for each group of tests. Without that variable nothing is
remembered.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from helpers.file_trace import ROOT, Trace, tracing
from helpers.import_closure import Imports
from llmbench.plan import bundled_dir
from llmbench.runners import load_runners

ALWAYS = ("pyproject.toml", "requirements.lock", "tests/conftest.py", "tests/helpers/remembered.py")
DATA = ("runners/**/*", "tests/fixtures/**/*", "tests/servers/**/*")
WITH_PROCESSES = ("llmbench/**/*.py", "problems/**/*", "scripts/**/*", "tests/helpers/**/*.py")
MANUAL = ("*.md", "docs/**/*", "mkdocs.yml")
READER_OF_MANUAL = "scripts/docs.py"
"""The source through which tests read pages of the manual, once for all tests of a process."""
COMPILED = "__pycache__"
GENERATED = frozenset({COMPILED, "_work", "build", "dist", "node_modules", "site"})

IMAGES = [runner.config.image for runner in load_runners(bundled_dir("runners")).values()]
COMMANDS: tuple[Sequence[str], ...] = (
    ("docker", "version"),
    ("docker", "image", "inspect", "--format", "{{.Id}}", *IMAGES),
    *((name, "--version") for name in ("podman", "runc", "runsc", "bwrap", "node", "chromium")),
    ("go", "version"),
    ("docker-registry", "--version"),
)
"""Commands that print the versions of engines, images and tools."""


@dataclass(frozen=True)
class Group:
    """Tests of one file that run one after another in one process.

    With `fixed`, their processes read nothing but the sandbox and the runner.
    """

    path: Path
    kind: str
    fixed: bool = False


@dataclass
class _Session:
    """The tests of a group that passed in this session, and all that they read."""

    passed: set[str] = field(default_factory=set)
    trace: Trace = field(default_factory=Trace)


class Remembered:
    """The tests that passed in the state of today, by what `folder` holds.

    `root` is the checkout, and `machine` a hash of Python, the kernel and the tools.
    """

    def __init__(self, folder: Path, root: Path = ROOT, machine: str | None = None) -> None:
        self._folder = folder
        self._root = root
        self._machine = machine or _machine()
        self._imports = Imports(root)
        self._sessions: dict[Group, _Session] = {}
        self._earlier: dict[Group, tuple[set[str], Trace]] = {}
        self._hashes: dict[Path, str] = {}
        self._matches: dict[str, list[Path]] = {}
        self._at_import: dict[Path, Trace] = {}

    def is_known(self, group: Group, test: str) -> bool:
        """True if this test has passed with the state of today."""
        with tracing(None):
            return test in self._load(group)[0]

    def add(self, group: Group, test: str) -> None:
        """Remember that this test has passed, once `save` is called."""
        self._session(group).passed.add(test)

    @contextmanager
    def watching(self, group: Group) -> Iterator[None]:
        """Note all that is read in this block as read by the group."""
        with tracing(self._session(group).trace):
            yield

    @contextmanager
    def importing(self, path: Path) -> Iterator[None]:
        """Note all that is read in this block as read by all tests of a file."""
        with tracing(self._at_import.setdefault(path, Trace())):
            yield

    def save(self) -> None:
        """Write which tests are known now, with those that other workers have written by now."""
        import fcntl  # not on Windows, where no gate runs

        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for group, session in self._sessions.items():
                if session.passed:
                    self._save(group, session)

    def _save(self, group: Group, session: _Session) -> None:
        tests, trace = self._read(group)
        trace.merge(session.trace)
        trace.merge(self._at_import.get(group.path, Trace()))
        content = {
            "state": self._state(group, trace),
            "files": sorted(trace.files),
            "folders": sorted(trace.folders),
            "processes": trace.processes,
            "anything": trace.anything,
            "tests": sorted(tests | session.passed),
        }
        path = self._path(group)
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(content), encoding="utf-8")
        new.replace(path)

    def _session(self, group: Group) -> _Session:
        return self._sessions.setdefault(group, _Session())

    def _path(self, group: Group) -> Path:
        name = f"{group.path.relative_to(self._root)}\0{group.kind}\0{group.fixed}"
        digest = hashlib.sha256(f"{self._machine}\0{name}".encode()).hexdigest()
        return self._folder / f"{digest}.json"

    def _load(self, group: Group) -> tuple[set[str], Trace]:
        """Return the known tests of a group and what they read; none after a change."""
        if group not in self._earlier:
            self._earlier[group] = self._read(group)
        return self._earlier[group]

    def _read(self, group: Group) -> tuple[set[str], Trace]:
        path = self._path(group)
        if not path.exists():
            return set(), Trace()
        entry = json.loads(path.read_text(encoding="utf-8"))
        read = set(entry["files"]), set(entry["folders"])
        trace = Trace(*read, entry["processes"], entry["anything"])
        if self._state(group, trace) != entry["state"]:
            return set(), Trace()
        return set(entry["tests"]), trace

    def _state(self, group: Group, trace: Trace) -> str:
        """A hash of all that decides the results of a group."""
        state = hashlib.sha256()
        files = {self._root / name for name in trace.files}
        for path in sorted(files | self._files(group, trace)):
            state.update(f"{path.relative_to(self._root)}\0{self._hash(path)}\n".encode())
        for name in sorted(trace.folders):
            folder = self._root / name
            listed = sorted(os.listdir(folder)) if folder.is_dir() else []  # noqa: PTH208
            state.update(f"{name}\0{[each for each in listed if each != COMPILED]}\n".encode())
        return state.hexdigest()

    def _files(self, group: Group, trace: Trace) -> set[Path]:
        files = set(self._matching([*ALWAYS, *DATA])) | self._imports.closure(group.path)
        folders = {path.parent for path in files} | {group.path.parent}
        folders -= {self._root / name for name in (".", "llmbench", "tests")}
        beside = self._matching(["llmbench/**/*", "tests/**/*"])
        files |= {p for p in beside if p.suffix != ".py" and not folders.isdisjoint(p.parents)}
        if self._root / READER_OF_MANUAL in files:
            files |= set(self._matching(MANUAL))
        if trace.processes and not group.fixed:
            files |= set(self._matching(WITH_PROCESSES))
        if trace.anything and not group.fixed:
            files |= self._everything
        return files

    @cached_property
    def _everything(self) -> set[Path]:
        files = set()
        for folder, below, names in os.walk(self._root):
            below[:] = [n for n in below if n not in GENERATED and (n == ".ci" or n[0] != ".")]
            files |= {Path(folder, name) for name in names if not name.startswith("test_")}
        return files

    def _matching(self, patterns: Iterable[str]) -> Iterator[Path]:
        for pattern in patterns:
            if pattern not in self._matches:
                paths = self._root.glob(pattern)
                self._matches[pattern] = [
                    path for path in paths if path.is_file() and COMPILED not in path.parts
                ]
            yield from self._matches[pattern]

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            data = path.read_bytes() if path.is_file() else b"\0missing"
            self._hashes[path] = hashlib.sha256(data).hexdigest()
        return self._hashes[path]


@lru_cache
def of_gate() -> Remembered | None:
    """Return the tests that the folder in LLMBENCH_PROOFS remembers; None without one."""
    folder = os.environ.get("LLMBENCH_PROOFS")
    return Remembered(Path(folder, "tests")) if folder else None


def _machine() -> str:
    """A hash of Python, the kernel, and the versions of engines, images and tools."""
    state = hashlib.sha256(f"{sys.version}\0{platform.release()}".encode())
    running: dict[str, subprocess.Popen[bytes]] = {}
    for command in COMMANDS:
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            running[" ".join(command)] = process
        except OSError:
            state.update(f"no {command}".encode())
    for line, process in running.items():
        output, _ = process.communicate()
        state.update(f"{line}\0".encode() + output)
    return state.hexdigest()
