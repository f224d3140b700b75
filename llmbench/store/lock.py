"""The lock of a run: one process writes it at a time.

The kernel holds the lock, so a process that crashes cannot leave it behind.
"""

import os
from pathlib import Path

from llmbench.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no such lock
    fcntl = None  # type: ignore[assignment]  # None means: no lock

NAME = "lock"


def is_held(folder: Path) -> bool:
    """True if a process is writing the run in this folder."""
    if fcntl is None:
        return False
    try:
        handle = os.open(folder / NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


class RunLock:
    """The lock of a run's folder, held until it is closed. Its file holds the process id."""

    def __init__(self, folder: Path) -> None:
        """Acquire the lock.

        Raises:
            OutputError: another process holds the lock, or the folder cannot be written.
        """
        path = folder / NAME
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
        try:
            if fcntl is not None:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._handle, 0)
            os.write(self._handle, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            holder = os.read(self._handle, 32).decode("ascii", "replace").strip() or "another one"
            self.close()
            raise OutputError(
                f"{folder}: process {holder} is writing this run", hint="wait for it, or end it"
            ) from None
        except OSError as error:
            self.close()
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Release the lock."""
        os.close(self._handle)
