"""`--cache`: answers that earlier runs bought, found again by the hash of what was asked."""

from dataclasses import replace
from pathlib import Path

from llmbench.records import Completion
from llmbench.store import journal
from llmbench.store.journal import CompletionEntry


class Cache:
    """The answers in the journals of all other runs; their texts stay in the files."""

    def __init__(self, root: Path, own: Path) -> None:
        """Index the journals below `root`, but for `own`; damaged lines there are left out."""
        self._places: dict[str, tuple[Path, int]] = {}
        for path in sorted(root.glob(f"*/{journal.NAME}")):
            if path == own:
                continue
            for offset, entry in journal.scan(path, lambda _: None):
                if isinstance(entry, CompletionEntry):
                    self._places.setdefault(entry.request_hash, (path, offset))

    def completion(self, asked: str) -> Completion | None:
        """The answer to it, marked as cached, without cost and timings: this run had neither."""
        if asked not in self._places:
            return None
        path, offset = self._places[asked]
        try:
            with path.open("rb") as file:
                entry = journal.read_entry(file, offset)
        except (OSError, ValueError):
            return None  # somebody has removed that run since
        if not isinstance(entry, CompletionEntry):
            return None
        return replace(
            entry.completion,
            from_cache=True,
            has_timings=False,
            cost_usd=None,
            llm_seconds=0.0,
            ttft_seconds=None,
            ttfa_seconds=None,
            queue_seconds=0.0,
        )
