"""A real Dask cluster on loopback: a scheduler, and workers that join and leave."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DASK = Path(sys.executable).with_name("dask")
START_SECONDS = 60.0


@dataclass
class Cluster:
    """A running scheduler; its logs and those of its workers are in `folder`."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return str(json.loads((self.folder / "scheduler.json").read_text())["address"])

    def start_worker(self, name: str, env: Mapping[str, str] = {}) -> None:
        """Start a worker of one thread, and wait until the scheduler knows it."""
        flags = ["worker", self.address, "--name", name, "--nthreads", "1", "--no-nanny"]
        self._start(name, flags, env)
        self._wait(name, lambda: "Registered to" in self.log(name))

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def _start(self, name: str, flags: list[str], env: Mapping[str, str] = {}) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [DASK, *flags, "--host", "127.0.0.1", "--no-dashboard"],
                cwd=self.folder,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def start_scheduler(self) -> None:
        file = self.folder / "scheduler.json"
        flags = ["scheduler", "--port", "0", "--scheduler-file", str(file)]
        self._start("scheduler", flags)
        self._wait("scheduler", file.exists)

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS
        while not ready():
            assert self.processes[name].poll() is None, self.log(name)
            assert time.monotonic() < end, self.log(name)
            time.sleep(0.05)


@contextmanager
def cluster(folder: Path, *workers: str) -> Iterator[Cluster]:
    """Run a scheduler with workers of these names, and end all of them."""
    running = Cluster(folder)
    try:
        running.start_scheduler()
        for name in workers:
            running.start_worker(name)
        yield running
    finally:
        for name in list(running.processes):
            running.kill(name)
