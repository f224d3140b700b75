"""Commands that take a while: they run visibly, and one process at a time makes a thing."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]  # None means: no lock

NOTE_SECONDS = 15.0
"""Interval of the notes about a command that still runs, or is waited for."""
LOCK_SECONDS = 0.2
"""Interval at which a lock is tried again."""

LINES, LINE_CHARACTERS, REASON_CHARACTERS = 20, 200, 400


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The exit code of a command, the last lines of its output, and its seconds by the clock."""

    code: int
    lines: Sequence[str]
    seconds: float

    @property
    def reason(self) -> str:
        """The end of the output in one line; the exit code if there is none."""
        text = " | ".join(line for line in self.lines if any(map(str.isalpha, line)))
        return text[-REASON_CHARACTERS:].strip(" |") or f"exit code {self.code}"


async def run_visibly(
    command: Sequence[str],
    title: str,
    notify: Callable[[str], None],
    env: Mapping[str, str] | None = None,
) -> CommandResult:
    """Run a command to its end; cancelling kills everything that it started.

    `notify` gets a line every `NOTE_SECONDS`, which begins with `title` and ends with the latest
    line of output.

    Raises:
        OSError: the command cannot be started.
    """
    began = anyio.current_time()
    lines: deque[str] = deque(maxlen=LINES)
    process = await anyio.open_process(
        list(command),
        env=env,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    async with process:
        assert process.stdout
        try:
            async with _notes(title, notify, lambda: lines[-1] if lines else ""):
                await _collect(process.stdout, lines)
                code = await process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return CommandResult(code, tuple(lines), anyio.current_time() - began)


@asynccontextmanager
async def exclusive(path: Path, title: str, notify: Callable[[str], None]) -> AsyncIterator[None]:
    """Hold the lock of a file; waits while another process holds it, and says so.

    The folder of the file is made if it is missing. The kernel holds the lock, so a process that
    crashes cannot leave it behind.

    Raises:
        OSError: the file cannot be written.
    """
    handle = _try_lock(path)
    if handle is None:
        waiting = f"{title}: waiting for {_holder(path)}, which is at it"
        notify(waiting)
        async with _notes(waiting, notify, lambda: ""):
            while handle is None:
                await anyio.sleep(LOCK_SECONDS)
                handle = _try_lock(path)
    try:
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        _unlock(path, handle)


def _unlock(path: Path, handle: int) -> None:
    path.unlink(missing_ok=True)  # first: nobody else may hold a lock of a file that is gone
    os.close(handle)


def _try_lock(path: Path) -> int | None:
    """A handle that holds the lock, or None while another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process that held the lock has removed its file.
        current = path.stat().st_ino == os.fstat(handle).st_ino
    except (BlockingIOError, FileNotFoundError):
        current = False
    if current:
        return handle
    os.close(handle)
    return None


def _holder(path: Path) -> str:
    """The process that wrote the lock file, in words."""
    try:
        return f"process {int(path.read_bytes()[:16])}"
    except (OSError, ValueError):
        return "another process"


@asynccontextmanager
async def _notes(
    title: str, notify: Callable[[str], None], latest: Callable[[], str]
) -> AsyncIterator[None]:
    """Notify while the block runs, with the seconds and the latest line of output."""
    began = anyio.current_time()

    async def remind() -> None:
        while True:
            await anyio.sleep(NOTE_SECONDS)
            line = latest()
            seconds = anyio.current_time() - began
            notify(f"{title}: {seconds:.0f} s so far" + (f", now: {line}" if line else ""))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(remind)
        yield
        tasks.cancel_scope.cancel()


async def _collect(stream: ByteReceiveStream, lines: deque[str]) -> None:
    """Read a stream to its end; keeps its last lines, without control characters."""
    rest = ""
    async for chunk in stream:
        *complete, rest = (rest + chunk.decode("utf-8", "replace")).splitlines() or [""]
        if chunk.endswith((b"\n", b"\r")):
            complete, rest = [*complete, rest], ""
        lines.extend(filter(None, map(_plain, complete)))
    lines.extend(filter(None, [_plain(rest)]))


def _plain(line: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in line)
    return " ".join(text.split())[:LINE_CHARACTERS]
