"""Records the files of the checkout that tests read, and whether they start processes."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
FOLDER_EVENTS = frozenset({"os.scandir", "os.listdir"})
PROCESS_EVENTS = frozenset(
    "subprocess.Popen os.posix_spawn os.exec os.fork os.forkpty os.system pty.spawn".split()
)
FRAMEWORK = ("<frozen importlib", f"{os.sep}hypothesis{os.sep}")
"""Readers that do not count: imports are known without, and Hypothesis seeks constants."""
FRAMES = 12
"""Frames above an event in which its reader is looked for."""
SANDBOXES = os.path.join("llmbench", "sandboxes", "")  # noqa: PTH118
"""Code whose processes see nothing of the checkout but the runners."""


@dataclass
class Trace:
    """The files and folders of the checkout that were read, and whether a process was started.

    `anything` is true if a process was started that may read any file of the checkout: its working
    folder is there, or an argument names a part of it other than a Python file.
    """

    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    processes: bool = False
    anything: bool = False

    def merge(self, other: "Trace") -> None:
        """Add all that another trace holds."""
        self.files |= other.files
        self.folders |= other.folders
        self.processes |= other.processes
        self.anything |= other.anything


_current: Trace | None = None


@contextmanager
def tracing(trace: Trace | None) -> Iterator[None]:
    """Add to the trace as long as the block runs; None stops the trace around it."""
    global _current
    before, _current = _current, trace
    try:
        yield
    finally:
        _current = before


@cache
def install() -> None:
    """Begin to watch; this cannot be undone in a process."""
    sys.addaudithook(_watch)


def _watch(event: str, args: tuple[object, ...]) -> None:
    if _current is None:
        return
    if event in PROCESS_EVENTS:
        _current.processes = True
        _current.anything = _current.anything or _may_read_anything(event, args)
    elif event == "open" or event in FOLDER_EVENTS:
        name = _name(args[0] if args else None, is_folder=event != "open")
        if name is not None and not _is_below(sys._getframe(1), FRAMEWORK, FRAMES):
            (_current.files if event == "open" else _current.folders).add(name)


def _name(path: object, *, is_folder: bool) -> str | None:
    """Return the name of a path in the checkout; None for others, and for those that tests make."""
    if path is None and is_folder:
        path = "."
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    name = os.path.relpath(os.path.abspath(os.fsdecode(path)), ROOT)  # noqa: PTH100
    parts = Path(name).parts
    hidden = any(part.startswith(".") and part not in (".", ".ci") for part in parts)
    return None if hidden or "__pycache__" in parts else name


def _may_read_anything(event: str, args: tuple[object, ...]) -> bool:
    """True if a process that is started now may read any file of the checkout."""
    if _is_below(sys._getframe(2), (SANDBOXES,), sys.getrecursionlimit()):
        return False
    if event != "subprocess.Popen":
        return True
    _, words, folder, _ = args
    if _name(folder, is_folder=True) is not None or not isinstance(words, (list, tuple)):
        return True
    names = [_name(word, is_folder=False) for word in words[1:] if os.path.isabs(os.fsdecode(word))]  # noqa: PTH117
    return any(name is not None and not name.endswith(".py") for name in names)


def _is_below(frame: FrameType | None, parts: tuple[str, ...], limit: int) -> bool:
    """True if one of the nearest frames is of a file whose path contains one of these parts."""
    for _ in range(limit):
        if frame is None:
            return False
        if any(part in frame.f_code.co_filename for part in parts):
            return True
        frame = frame.f_back
    return False
