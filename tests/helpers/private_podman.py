"""A Podman service for tests: its socket and its images are temporary."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 30
"""Longest wait for the service to answer or to end."""

# Podman requests the highest limits, which root without CAP_SYS_RESOURCE may not grant.
# runc is used because crun refuses machines with control groups of both versions.
RUNTIME = f"""#!{sys.executable}
import json, os, resource, sys

for flag, value in zip(sys.argv, sys.argv[1:]):
    if flag == "--bundle":
        path = os.path.join(value, "config.json")
        with open(path) as file:
            config = json.load(file)
        for limit in config["process"].get("rlimits", ()):
            top = resource.getrlimit(getattr(resource, limit["type"]))[1]
            if top != resource.RLIM_INFINITY:
                limit["hard"], limit["soft"] = min(limit["hard"], top), min(limit["soft"], top)
        with open(path, "w") as file:
            json.dump(config, file)
os.execv("{shutil.which("runc")}", ["runc", *sys.argv[1:]])
"""


class NoPodmanError(Exception):
    """No service can be started here, for the reason in the message."""


class PrivatePodman:
    """`podman system service` below `folder`; `host` is its address."""

    def __init__(self, folder: Path) -> None:
        self.host = f"unix://{folder / 's'}"
        self._folder = folder
        runtime = folder / "runtime"
        runtime.write_text(RUNTIME)
        runtime.chmod(0o755)
        self._flags = [
            *("--root", str(folder / "root"), "--runroot", str(folder / "run")),
            *("--tmpdir", str(folder / "tmp"), "--runtime", str(runtime)),
            *("--cgroup-manager", "cgroupfs", "--events-backend", "file"),
        ]
        with (folder / "log").open("wb") as log:
            self._service = subprocess.Popen(
                ["podman", *self._flags, "system", "service", "--time", "0", self.host],
                cwd=folder,  # conmon writes a file `oom` into its current folder
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + SECONDS
        while self._docker("version").returncode:
            if self._service.poll() is not None or time.monotonic() > end:
                lines = (folder / "log").read_text(errors="replace").splitlines()[-3:]
                raise NoPodmanError(f"podman does not start: {' | '.join(lines)}")
            time.sleep(0.05)

    def copy_image(self, image: str) -> None:
        """Copy an image from the engine that other tests use."""
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
            load = subprocess.run(
                ["docker", "-H", self.host, "load", "-q"], stdin=save.stdout, capture_output=True
            )
        if save.returncode or load.returncode:
            raise NoPodmanError(f"{image} cannot be copied from the engine at DOCKER_HOST")

    def containers(self) -> list[str]:
        """Return the ids of its containers, running or not."""
        return self._docker("ps", "-aq", "--no-trunc").stdout.split()

    def kill(self, container: str) -> None:
        """End a container from outside."""
        self._docker("kill", container)

    def remove(self) -> None:
        """Stop it, and remove its containers, mounts and files."""
        subprocess.run(["podman", *self._flags, "rm", "-fa"], capture_output=True)
        self._service.terminate()
        self._service.wait(SECONDS)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(f"{self._folder}/")), reverse=True):
            subprocess.run(["umount", "-l", mount])
        shutil.rmtree(self._folder, ignore_errors=True)

    def _docker(self, *args: str) -> subprocess.CompletedProcess[str]:
        command = ["docker", "-H", self.host, *args]
        return subprocess.run(command, capture_output=True, text=True)


@contextmanager
def private_podman(*images: str) -> Iterator[PrivatePodman]:
    """Run a service that has these images.

    Raises:
        NoPodmanError: none can be started here.
    """
    if os.geteuid() != 0 or not all(map(shutil.which, ("podman", "runc", "docker"))):
        raise NoPodmanError("needs root, podman, runc and Docker's command line")
    # A short path: the address of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="llmb-"))
    podman = PrivatePodman(folder)
    try:
        for image in images:
            podman.copy_image(image)
        yield podman
    finally:
        podman.remove()
