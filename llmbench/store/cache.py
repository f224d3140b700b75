"""`--cache`: the answers of other runs, by the hash of the request."""

from dataclasses import replace
from pathlib import Path

from llmbench.completions import Completion
from llmbench.events import ignore
from llmbench.store import journal
from llmbench.store.journal import CompletionEntry


class Cache:
    """The answers in the journals of all other runs. Their texts stay in the files."""

    def __init__(self, root: Path, own: Path) -> None:
        """Index the journals below `root` except `own`; damaged lines are skipped."""
        self._positions: dict[str, tuple[Path, int]] = {}
        for path in sorted(root.glob(f"*/{journal.NAME}")):
            if path == own:
                continue
            for offset, entry in journal.scan(path, ignore):
                if isinstance(entry, CompletionEntry):
                    self._positions.setdefault(entry.request_hash, (path, offset))

    def completion(self, request_hash: str) -> Completion | None:
        """Return the answer to a request, None if there is none.

        It is marked as `from_cache` and has neither cost nor times, because this run had neither.
        """
        if request_hash not in self._positions:
            return None
        path, offset = self._positions[request_hash]
        try:
            with path.open("rb") as file:
                entry = journal.read_entry(file, offset)
        except (OSError, ValueError):
            return None  # that run was removed after it was indexed
        if not isinstance(entry, CompletionEntry):
            return None
        return replace(entry.completion.without_timings(), from_cache=True, cost_usd=None)
