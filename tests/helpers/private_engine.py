"""A Docker engine that tests may break: its socket and its data in memory are temporary."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 30
"""Longest wait for an engine to start or stop."""


class NoEngineError(Exception):
    """No engine can be started here, for the reason in the message."""


class PrivateEngine:
    """dockerd below `folder`; `host` is its address. Its data root is a tmpfs of `size` MiB.

    `flags` are more flags of dockerd.
    """

    def __init__(self, folder: Path, size: int, flags: Sequence[str] = ()) -> None:
        self.folder = folder
        self._flags = flags
        self.socket = folder / "s"
        self.host = f"unix://{self.socket}"
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._data.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(self._data))

    def start(self) -> None:
        """Start it unless it runs, and wait until it answers."""
        if self._process is not None and self._process.poll() is None:
            return
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("dockerd", "--data-root", str(self._data), "--log-level", "warn"),
                    *("--exec-root", str(self.folder / "exec"), "--shutdown-timeout", "5"),
                    *("--pidfile", str(self.folder / "pid"), "-H", self.host),
                    *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
                    *self._flags,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + SECONDS
        while self.docker("version", check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > end:
                lines = (self.folder / "log").read_text(errors="replace").splitlines()[-3:]
                raise NoEngineError(f"dockerd does not start: {' | '.join(lines)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it with its containers."""
        self._end(signal.SIGTERM)

    def crash(self) -> None:
        """Kill it and its containerd; the containers keep running."""
        self._end(signal.SIGKILL)
        pidfile = self.folder / "exec/containerd/containerd.pid"
        with suppress(OSError, ValueError):
            os.kill(int(pidfile.read_text()), signal.SIGKILL)
        # Its number may be that of a zombie.
        pidfile.unlink(missing_ok=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(SECONDS)
            (self.folder / "pid").unlink(missing_ok=True)

    def docker(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the docker command line against it."""
        return run("docker", "-H", self.host, *args, check=check)

    def copy_image(self, image: str) -> None:
        """Copy an image from the engine that other tests use."""
        save = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
        load = subprocess.run(["docker", "-H", self.host, "load", "-q"], stdin=save.stdout)
        assert save.stdout is not None
        save.stdout.close()
        if save.wait() or load.returncode:
            raise NoEngineError(f"{image} cannot be copied from the engine at DOCKER_HOST")

    def containers(self, *flags: str) -> list[str]:
        """Return the ids of its containers; with "-a" also of those that do not run."""
        return self.docker("ps", "-q", "--no-trunc", *flags).stdout.split()

    @contextmanager
    def full(self) -> Iterator[None]:
        """Fill its disk during the block."""
        ballast = self._data / "ballast"
        try:
            with suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(2**20))
            with suppress(OSError), ballast.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(512))
            yield
        finally:
            ballast.unlink()

    def remove(self) -> None:
        """Kill its processes and free its memory."""
        self.stop()
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self.folder}/")), reverse=True):
            run("umount", "-l", mount, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _processes(self) -> list[int]:
        """Processes whose command line names our folder: containerd and its shims."""
        pids = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if f"{self.folder}/exec".encode() in path.read_bytes():
                    pids.append(int(path.parent.name))
        return pids


class StallingProxy:
    """A socket that forwards to another; while it is stuck, no byte passes in either direction."""

    def __init__(self, path: Path, to: Path) -> None:
        self.host = f"unix://{path}"
        self._to = to
        self._flows = threading.Event()
        self._flows.set()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._sockets: list[socket.socket] = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def stick(self) -> None:
        """Forward nothing more."""
        self._flows.clear()

    def flow(self) -> None:
        """Forward again, including bytes that waited."""
        self._flows.set()

    def close(self) -> None:
        """Close every connection."""
        self.flow()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(self._to))
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self._flows.wait()
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


def run(*args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    done = subprocess.run(args, capture_output=True, text=True)
    if check and done.returncode:
        raise NoEngineError(f"{args[0]}: {done.stderr.strip()[-200:]}")
    return done


@contextmanager
def private_engine(
    *images: str, size: int = 700, flags: Sequence[str] = ()
) -> Iterator[PrivateEngine]:
    """Run an engine that has these images.

    Raises:
        NoEngineError: no engine can be started here.
    """
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise NoEngineError("needs root, and dockerd")
    # A short path: the address of a socket has at most 107 bytes.
    engine = PrivateEngine(Path(tempfile.mkdtemp(prefix="llmb-")), size, flags)
    try:
        engine.start()
        for image in images:
            engine.copy_image(image)
        yield engine
    finally:
        engine.remove()
