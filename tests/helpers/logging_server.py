"""A replay server in a process of its own, which outlives the runs that use it.

python logging_server.py FOLDER: writes `address` there, and a line to `requests` for each request.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import anyio

from helpers.cli import LANGUAGES
from llmbench import problems
from llmbench.demo.server import RequestKey, serve
from llmbench.plan import bundled_dir


class LoggedCounter(Counter[RequestKey]):
    """A counter that writes each counted key to a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w", buffering=1)

    def __setitem__(self, key: RequestKey, value: int) -> None:
        super().__setitem__(key, value)
        self._file.write(json.dumps(key) + "\n")


async def main(folder: Path) -> None:
    """Serve until killed."""
    loaded = problems.load([bundled_dir("problems")], LANGUAGES)
    async with serve(loaded) as server:
        server.requests = LoggedCounter(folder / "requests")
        (folder / "address.new").write_text(server.base_url)
        (folder / "address.new").rename(folder / "address")
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]))
