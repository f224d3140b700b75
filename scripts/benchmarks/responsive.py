"""Responsiveness of a run with a thousand streams on one core.

python scripts/benchmarks/responsive.py [STREAMS]

llmbench runs in a pseudo-terminal on one core, against the server of `streams.py` on another. With
all streams open, the script measures the share of the core and the longest time without output on
the console. Then it sends Ctrl-C twice. It measures the time from the first to its answer on the
console, and from the second to the end of all streams and of the process.
"""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

STREAMS = 1000
CHUNKS_PER_SECOND = 8
WATCH_SECONDS = 10.0
START_SECONDS = 60.0
STOPPING = re.compile(rb"stopping: nothing new is started")
SERVER = Path(__file__).with_name("streams.py")


class Screen:
    """The output of a process on its terminal, with its times."""

    def __init__(self, descriptor: int) -> None:
        self.output = b""
        self.times: list[float] = []
        self._descriptor = descriptor
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:  # the process ended
                return
            self.times.append(time.perf_counter())
            self.output += data

    def longest_silence(self, began: float, ended: float) -> float:
        """The longest time without output between two moments, in seconds."""
        within = [began, *(t for t in self.times if began < t < ended), ended]
        return max(b - a for a, b in pairwise(within))


def connections(port: int) -> int:
    """Number of established connections to a port of loopback."""
    address_and_state = f"0100007F:{port:04X} 01"
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return sum(" ".join(line.split()[2:4]) == address_and_state for line in lines)


def cpu(pid: int) -> float:
    """Processor seconds of a process so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(event: str, ready: Callable[[], object]) -> float:
    """Poll until `ready` is true, and return that moment.

    Raises:
        SystemExit: it took too long.
    """
    end = time.perf_counter() + START_SECONDS
    while not ready():
        if time.perf_counter() > end:
            raise SystemExit(f"no {event} within {START_SECONDS:g} s")
        time.sleep(0.005)
    return time.perf_counter()


def measure(url: str, port: int, streams: int, folder: str) -> None:
    """Run, watch, interrupt, print."""
    runs = -(-streams // 10)
    flags = ["--provider", "openai-compatible", "--base-url", url, "--model", "m"]
    flags += ["--concurrency", str(streams), "--runs", str(runs), "--langs", "python"]
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "llmbench", *flags],
        cwd=folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        os.close(follower)
        console = Screen(leader)
        try:
            wait_for(f"{streams} streams", lambda: connections(port) >= streams)
            began, used = time.perf_counter(), cpu(process.pid)
            time.sleep(WATCH_SECONDS)
            ended, used = time.perf_counter(), cpu(process.pid) - used
            open_ = connections(port)
            process.send_signal(signal.SIGINT)
            first = wait_for("answer", lambda: STOPPING.search(console.output)) - ended
            again = time.perf_counter()
            process.send_signal(signal.SIGINT)
            closed = wait_for("end of the streams", lambda: not connections(port)) - again
            process.wait(START_SECONDS)
            second = time.perf_counter() - again
        finally:
            process.kill()
    print(f"streams open                        {open_:8}")
    print(f"chunks a second                     {open_ * CHUNKS_PER_SECOND:8}")
    print(f"share of one core                   {used / (ended - began):8.2f}")
    print(f"longest time without progress       {console.longest_silence(began, ended):8.2f} s")
    print(f"first Ctrl-C to its answer          {first:8.2f} s")
    print(f"second Ctrl-C to the streams' end    {closed:8.2f} s")
    print(f"second Ctrl-C to the end            {second:8.2f} s, exit {process.returncode}")


def main() -> None:
    """Start the server on the other core, and measure."""
    streams = int(sys.argv[1]) if sys.argv[1:] else STREAMS
    command = [sys.executable, str(SERVER), "serve", str(CHUNKS_PER_SECOND)]
    with (
        tempfile.TemporaryDirectory() as folder,
        # It logs each client that leaves.
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as server,
    ):
        os.sched_setaffinity(server.pid, {max(os.sched_getaffinity(0))})
        assert server.stdout
        port = int(server.stdout.readline().split()[-1])
        try:
            measure(f"http://127.0.0.1:{port}/v1", port, streams, folder)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
