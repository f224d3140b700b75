"""Parameters that a server does not support, as its error says."""

import re
from collections.abc import Mapping
from typing import Any

from llmbench.models.errors import ErrorBody

_UNSUPPORTED = re.compile(
    r"unsupported|not support|unknown|unrecogni[sz]ed|unexpected|not allowed|not permitted"
    r"|only the default|deprecated|may only be|extra_forbidden|no longer|only \S+ is allowed"
)
_INSTEAD = re.compile(r"\b(use|instead|replaced|renamed)\b")


def unsupported_param(
    body: Mapping[str, Any], error: ErrorBody, replacements: Mapping[str, str | None]
) -> str | None:
    """Return the parameter of a request that the server does not support by its error, or None.

    `replacements` are the parameters that may be refused, each with the one to send instead (None:
    leave it out).
    """
    for name, replacement in replacements.items():
        if name not in body or body[name] is False:
            continue
        pattern = "stream(ing)?" if name == "stream" else name
        is_named = error.param == name or re.search(rf"\b{pattern}\b", error.kind)
        if replacement:
            is_refused = replacement in error.kind and (
                _INSTEAD.search(error.kind) or _UNSUPPORTED.search(error.kind)
            )
        else:
            is_refused = _UNSUPPORTED.search(error.kind)
        if is_named and (is_refused or name == "stream_options"):
            return name
    return None
