"""Runs the demo on recorded answers; it needs no model, no key and no Docker.

python3 scripts/demo.py [FLAGS OF llmbench]
"""

import subprocess
import sys

import bootstrap


def main() -> int:
    """Set up the environment, run the demo in it and return its exit code."""
    python = bootstrap.python("toolchains")
    flags = ["--provider", "demo", *sys.argv[1:]]
    try:
        return subprocess.run([python, "-m", "llmbench", *flags]).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
