"""Runs all checks: style, types, layers, tests.

python3 scripts/test.py [FLAGS OF pytest]

The tests of a sandbox run where that sandbox is available; with
LLMBENCH_REQUIRE_SANDBOXES=docker,bubblewrap a missing one is a failure. The runner images are built
if a Docker engine answers.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bootstrap

WORKERS = 1 + (os.cpu_count() or 1)
"""One more than the cores: tests often wait for a clock, an engine or a process."""

PARALLEL = ["-n", str(WORKERS), "--dist", "loadgroup", "--no-loadscope-reorder"]
DURATIONS = "--durations=20"
PASSES = (
    [*PARALLEL, DURATIONS, "-m", "not slow and not alone"],
    [DURATIONS, "-m", "alone and not slow"],
)


def main() -> int:
    """Set up the environment, build the images, and run the checks up to the first failure."""
    python = bootstrap.python("dask,dev,mutation,report,toolchains")
    scripts = python.parent
    prepare_sandboxes()
    checks: list[list[str | Path]] = [
        [scripts / "ruff", "check", "."],
        [scripts / "ruff", "format", "--check", "."],
        [scripts / "mypy"],
        [scripts / "lint-imports"],
    ]
    for flags in [sys.argv[1:]] if sys.argv[1:] else PASSES:
        checks.append([python, "-m", "pytest", *flags])
    for check in checks:
        bootstrap.log(" ".join(map(str, [Path(check[0]).name, *check[1:]])))
        completed = subprocess.run(check, cwd=bootstrap.ROOT)
        if completed.returncode:
            return completed.returncode
    return 0


def prepare_sandboxes() -> None:
    """Build the images for Docker, and report each sandbox whose tests will be skipped."""
    if not shutil.which("bwrap"):
        bootstrap.log("bubblewrap is not installed: its tests are skipped")
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True).returncode:
        bootstrap.log("no Docker engine answers: its tests are skipped")
        return
    bootstrap.log("docker compose build")
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    build = ["docker", "compose", "build", "--quiet"]
    if subprocess.run(build, cwd=bootstrap.ROOT, env=environment).returncode:
        raise SystemExit("cannot build the runner images; the lines above say why")


if __name__ == "__main__":
    raise SystemExit(main())
