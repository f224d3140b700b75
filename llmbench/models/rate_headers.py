"""The wait that a server requests in the headers of a refusal."""

import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

_DURATION = re.compile(
    r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?"
)
_UNIT_SECONDS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_NUMBER = re.compile(r"\d+(\.\d+)?")

_RESETS = {
    "x-ratelimit-reset": "x-ratelimit-remaining",
    "ratelimit-reset": "ratelimit-remaining",
    "x-ratelimit-reset-requests": "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-tokens": "x-ratelimit-remaining-tokens",
    **{
        f"anthropic-ratelimit-{limit}-reset": f"anthropic-ratelimit-{limit}-remaining"
        for limit in ("requests", "tokens", "input-tokens", "output-tokens")
    },
}
"""Headers with the reset time of a limit, each with the header of what remains of that limit."""

EPOCH_SECONDS = 1e9
"""A plain number of at least this is a time since 1970, a smaller one a duration."""

EPOCH_MILLISECONDS = 1e12


def server_wait(headers: Mapping[str, str], *, limited: bool) -> float | None:
    """Return the wait in seconds that a server requests, or None.

    Retry-After comes first. If it is missing and a rate limit refused the request (`limited`), the
    reset of that limit counts. Header names are in lower case.
    """
    wait = retry_after(headers)
    return reset_after(headers) if wait is None and limited else wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After (seconds, `36s`, a date) or Retry-After-Ms, or None."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("retry-after")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        if value is None:
            return None
        if (wait := _until(value)) is not None:
            return wait
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def reset_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until the exhausted rate limit is reset, or None if no header says so.

    Of several limits without anything remaining, the last reset counts. If no limit is declared
    exhausted, the first reset counts.
    """
    waits = {reset: _until(headers.get(reset)) for reset in _RESETS}
    known = {reset: wait for reset, wait in waits.items() if wait is not None}
    exhausted = [
        wait for reset, wait in known.items() if headers.get(_RESETS[reset], "").strip() == "0"
    ]
    return max(exhausted) if exhausted else min(known.values(), default=None)


def _until(text: str | None) -> float | None:
    """Return the seconds until a reset: `1m30s`, seconds, a time since 1970 (s or ms), ISO 8601."""
    text = (text or "").strip()
    if not text:
        return None
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= EPOCH_MILLISECONDS:
            number /= 1000
        return max(0.0, number - time.time()) if number >= EPOCH_SECONDS else number
    if duration := _DURATION.fullmatch(text):
        parts = zip(duration.groups(), _UNIT_SECONDS, strict=True)
        return sum(float(part) * unit for part, unit in parts if part)
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
