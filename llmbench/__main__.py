"""`python -m llmbench`, and the command `llmbench`."""

import os
import sys

NO_WINDOWS = (
    "llmbench: Windows is supported through WSL2 only: run `wsl --install`, and llmbench in it"
)


def main() -> int:
    """Run one command and return its exit code; on native Windows nothing else is imported."""
    if os.name == "nt":
        sys.stderr.write(f"{NO_WINDOWS}\n")
        return 2
    from llmbench.cli import main as run

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
