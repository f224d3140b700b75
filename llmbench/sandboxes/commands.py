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

LINES, LINE_CHARACTERS, REASON_CHARACTERS = 20, 300, 500


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

    The kernel holds the lock, so a process that crashes cannot leave it behind.

    Raises:
        OSError: the file cannot be written.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _lock(handle):
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "another"
            waiting = f"{title}: waiting for process {holder}, which is at it"
            notify(waiting)
            async with _notes(waiting, notify, lambda: ""):
                while not _lock(handle):  # noqa: ASYNC110 - of another process
                    await anyio.sleep(LOCK_SECONDS)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> bool:
    """True if this process holds the lock now."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


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
