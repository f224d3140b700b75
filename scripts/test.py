"""All checks: style, types, layers, tests.

python3 scripts/test.py [FLAGS OF pytest]

Tests of a sandbox run where that sandbox is; LLMBENCH_REQUIRE_SANDBOXES=docker,bubblewrap makes
a missing one a failure. Runner images are built when a Docker engine answers.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bootstrap

AT_ONCE = 1 + (os.cpu_count() or 1)
"""Tests often wait for a clock, an engine or a process."""

TOGETHER = ["-n", str(AT_ONCE), "--dist", "loadgroup", "--no-loadscope-reorder"]
SLOWEST = "--durations=20"
ALL = (
    [*TOGETHER, SLOWEST, "-m", "not slow and not alone"],
    [SLOWEST, "-m", "alone and not slow"],
)


def main() -> int:
    """Make the environment, build the images, and run every check; the first failure ends it."""
    python = bootstrap.python("dask,dev,mutation,report,toolchains")
    scripts = python.parent
    sandboxes()
    checks: list[list[str | Path]] = [
        [scripts / "ruff", "check", "."],
        [scripts / "ruff", "format", "--check", "."],
        [scripts / "mypy"],
        [scripts / "lint-imports"],
    ]
    for flags in [sys.argv[1:]] if sys.argv[1:] else ALL:
        checks.append([python, "-m", "pytest", *flags])
    for check in checks:
        bootstrap.say(" ".join(map(str, [Path(check[0]).name, *check[1:]])))
        done = subprocess.run(check, cwd=bootstrap.ROOT)
        if done.returncode:
            return done.returncode
    return 0


def sandboxes() -> None:
    """Say which sandboxes the tests will find, and build the images for Docker."""
    if not shutil.which("bwrap"):
        bootstrap.say("bubblewrap is not installed: its tests are skipped")
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True).returncode:
        bootstrap.say("no Docker engine answers: its tests are skipped")
        return
    bootstrap.say("docker compose build")
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    build = ["docker", "compose", "build", "--quiet"]
    if subprocess.run(build, cwd=bootstrap.ROOT, env=environment).returncode:
        raise SystemExit("the runner images could not be built; the lines above say why")


if __name__ == "__main__":
    raise SystemExit(main())
