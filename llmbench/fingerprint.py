"""Hashes that identify requests and results, for the cache and for `--resume`."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, NamedTuple

from llmbench.records import Attempt, Message, Sampling, Target

_FIRST_FIELDS = ("provider", "model", "base_url", "sampling", "extra")
_FIRST_PARAMS = ("max_tokens", "temperature", "seed")
_DEFAULTS = Sampling()


class Fingerprint(NamedTuple):
    """The hash of a request, and the hash of the request with everything that grades it."""

    request_hash: str
    result_hash: str


def request_hash(attempt: Attempt, messages: Sequence[Message]) -> str:
    """Return the hash of target, parameters, problem id, run and messages.

    Repairs differ too: their messages hold the earlier answers and the logs of their tests.
    """
    parts = [_fields(attempt.target), attempt.problem.id, attempt.run, messages]
    return _hash(parts)


def result_hash(attempt: Attempt, request_hash: str, timeout: float) -> str:
    """Return the hash of the request, of the problem's `sha256` and of the timeout in seconds."""
    return _hash([request_hash, attempt.problem.sha256, timeout])


@lru_cache
def _fields(target: Target) -> dict[str, Any]:
    """Return the fields of a target by name. Cached, because a run has few targets.

    Fields that older versions did not have are left out where they have their default, so that the
    answers of older versions are found.
    """
    values = asdict(target)
    sampling = {
        name: value
        for name, value in values["sampling"].items()
        if name in _FIRST_PARAMS or value != getattr(_DEFAULTS, name)
    }
    named = {} if target.variant is None else {"variant": target.variant}
    return {name: values[name] for name in _FIRST_FIELDS} | {"sampling": sampling} | named


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
