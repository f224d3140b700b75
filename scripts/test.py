"""Runs all checks: style, types, layers, tests.

python3 scripts/test.py [FLAGS OF pytest]

The tests of a sandbox run where that sandbox is available; with
LLMBENCH_REQUIRE_SANDBOXES=docker,bubblewrap a missing one is a failure. The runner images are built
if a Docker engine answers. The time of each step and the parts that were missing are printed at the
end.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import bootstrap

DURATIONS = "--durations=20"
CORES = os.cpu_count() or 1
# One worker more than cores: tests often wait for a clock, an engine or a process.
WORKERS = ["-n", str(CORES + 1), "--dist", "loadgroup", "--no-loadscope-reorder"]
PASSES = (
    [*WORKERS, DURATIONS, "-m", "not slow and not short_times and not alone"],
    [*WORKERS, DURATIONS, "-m", "short_times and not slow"],
    [DURATIONS, "-m", "alone and not slow"],
)

PARTS = {
    "docker": ("Docker", "start Docker"),
    "bubblewrap": ("bubblewrap", "apt install bubblewrap"),
    "browser": ("Chromium", "apt install chromium"),
    "servers": ("LLM servers", 'eval "$(.ci/servers)"'),
}
"""Names of the parts that a machine may lack, and how to get them, by the marker of their tests."""


def main() -> int:
    """Set up the environment, build the images, and run the checks up to the first failure."""
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        skipped = Path(folder, "skipped.json")
        code = run_all(times, skipped)
        print_end(times, json.loads(skipped.read_text()) if skipped.exists() else {})
    return code


def run_all(times: dict[str, float], skipped: Path) -> int:
    """Run every step up to the first failure, noting its seconds; returns the exit code."""
    began = time.monotonic()
    python = bootstrap.python(bootstrap.ALL_EXTRAS)
    times["environment"] = time.monotonic() - began
    began = time.monotonic()
    build_images(python)
    times["images"] = time.monotonic() - began
    for name, check in checks(python).items():
        bootstrap.log(" ".join(map(str, [Path(check[0]).name, *check[1:]])))
        began = time.monotonic()
        environment = {**os.environ, "LLMBENCH_TEST_SKIPPED": str(skipped)}
        code = subprocess.run(check, cwd=bootstrap.ROOT, env=environment).returncode
        times[name] = time.monotonic() - began
        if code:
            return code
    return 0


def checks(python: Path) -> dict[str, list[str | Path]]:
    """Return the command of each check by name."""
    scripts = python.parent
    passes = [sys.argv[1:]] if sys.argv[1:] else PASSES
    return {
        "style": [scripts / "ruff", "check", "."],
        "format": [scripts / "ruff", "format", "--check", "."],
        "types": [scripts / "mypy", "--num-workers", str(CORES)],
        "layers": [scripts / "lint-imports"],
        "JavaScript": [python, "scripts/lint_javascript.py"],
        **{
            f"tests, pass {number}": [python, "-m", "pytest", *flags]
            for number, flags in enumerate(passes, 1)
        },
    }


def build_images(python: Path) -> None:
    """Build the images for Docker if an engine answers."""
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True).returncode:
        return
    build = ["-m", "llmbench", "images", "build"]
    bootstrap.log(" ".join(["python", *build]))
    if subprocess.run([python, *build], cwd=bootstrap.ROOT).returncode:
        raise SystemExit("cannot build the runner images; the lines above say why")


def print_end(times: Mapping[str, float], skipped: Mapping[str, int]) -> None:
    """Print the time of each step, and two lines about the parts that were missing."""
    steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times.items())
    bootstrap.log(f"time: {steps}; {sum(times.values()):.0f} s in all")
    if skipped.get("remembered"):
        bootstrap.log(
            f"remembered: {skipped['remembered']} tests passed before with the same sources, "
            "packages, images and tools (LLMBENCH_PROOFS)"
        )
    missing = {marker: count for marker, count in skipped.items() if count and marker in PARTS}
    if missing:
        names = ", ".join(f"{PARTS[marker][0]} ({count})" for marker, count in missing.items())
        bootstrap.log(f"not tested here, with the number of tests: {names}")
        fixes = "; ".join(PARTS[marker][1] for marker in missing)
        bootstrap.log(f"to test them: {fixes}")


if __name__ == "__main__":
    raise SystemExit(main())
