"""The main job on recorded answers: no model, no key, no Docker needed.

python3 scripts/demo.py [FLAGS OF llmbench]
"""

import subprocess
import sys

import bootstrap


def main() -> int:
    """Make the environment and run the demo in it."""
    python = bootstrap.python("toolchains")
    flags = ["--provider", "demo", *sys.argv[1:]]
    try:
        return subprocess.run([python, "-m", "llmbench", *flags]).returncode
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
