"""The times of the tokens of one stream, and the number of chunks that they came in."""

CHUNK_SECONDS = 0.001
"""Tokens that arrive within this time of a chunk's first one are of the same chunk: the network and
proxies join and split events as they like."""


class TokenClock:
    """Counts the chunks of a stream and the tokens after the first of them.

    Attributes:
        first_at: The time of the first token of any kind, None before it.
        chunks: The number of chunks with text.
    """

    def __init__(self) -> None:
        self.first_at: float | None = None
        self.chunks = 0
        self._first_text_at = self._last_at = self._chunk_ends = 0.0
        self._events = self._first_events = 0
        self._chars = self._first_chars = 0
        self._first_tokens: int | None = None

    def on_text(self, now: float, chars: int) -> None:
        """Count an event with so much text, received at `now`. Runs for every token."""
        if now >= self._chunk_ends:
            self._chunk_ends = now + CHUNK_SECONDS
            self.chunks += 1
            if self.chunks == 1:
                self._first_text_at = now
            elif self.chunks == 2:
                self._first_events, self._first_chars = self._events, self._chars
        self._events += 1
        self._chars += chars
        self._last_at = now

    def on_count(self, tokens: int) -> None:
        """Store the server's count of the tokens so far, which some send with each chunk."""
        if self.chunks == 1 and tokens > 0:
            self._first_tokens = tokens

    @property
    def stream_seconds(self) -> float | None:
        """The time from the first chunk to the last, None if there are fewer than two."""
        return self._last_at - self._first_text_at if self.chunks > 1 else None

    def tokens_after_first(self, tokens: int) -> float | None:
        """Return how many of a stream's tokens came after the first chunk, None if unknown.

        The server's own count of the first chunk is used if there is one. Where there are as many
        events as tokens, each event is a token. Else the first chunk has the same share of the
        tokens as of the text.
        """
        if self.chunks < 2:
            return None
        if self._first_tokens is not None and self._first_tokens < tokens:
            return float(tokens - self._first_tokens)
        # A server may count the token that ends the answer and has no text.
        if 0 <= tokens - self._events <= 2:
            return float(self._events - self._first_events)
        return tokens * (1 - self._first_chars / self._chars)
