"""How long a server asks to be left alone, read from the headers of its refusal."""

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
"""Headers that tell when a limit is reset, each with the one that tells what remains of it."""

EPOCH_SECONDS = 1e9
"""A plain number from here up is a time since 1970, not a duration."""

EPOCH_MILLISECONDS = 1e12


def server_wait(headers: Mapping[str, str], *, limited: bool) -> float | None:
    """The wait in seconds that a server asks for, or None.

    Retry-After comes first; where it is missing and the request was refused by a rate limit
    (`limited`), the reset of that limit counts. Header names are in lower case.
    """
    wait = retry_after(headers)
    return reset_after(headers) if wait is None and limited else wait


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait in seconds of Retry-After (seconds, `36s`, a date) or Retry-After-Ms, or None."""
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
    """The seconds until the rate limit that was met is reset, or None where nothing says so.

    Of several limits, those with nothing remaining count, and the last of them to be reset; where
    the server names none as used up, the first that is reset.
    """
    waits = {reset: _until(headers.get(reset)) for reset in _RESETS}
    known = {reset: wait for reset, wait in waits.items() if wait is not None}
    used_up = [
        wait for reset, wait in known.items() if headers.get(_RESETS[reset], "").strip() == "0"
    ]
    return max(used_up) if used_up else min(known.values(), default=None)


def _until(text: str | None) -> float | None:
    """Seconds until a reset, told as `1m30s`, seconds, a time since 1970 (s or ms) or ISO 8601."""
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
    except ValueError:
        return None
