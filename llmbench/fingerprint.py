"""What makes two attempts the same: hashes of all that was asked, and of all that graded it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, NamedTuple

from llmbench.records import Attempt, Message, Target


class Fingerprint(NamedTuple):
    """The hash of all that is asked, and that of all that grades it, too."""

    request_hash: str
    result_hash: str


def request_hash(attempt: Attempt, messages: Sequence[Message]) -> str:
    """Hash of target, parameters, problem id, run and messages: none is asked twice.

    The messages of a later round hold what was said before, its log included.
    """
    parts = [_fields(attempt.target), attempt.problem.id, attempt.run, messages]
    return _hash(parts)


def result_hash(attempt: Attempt, request_hash: str, timeout: float) -> str:
    """Hash of that, of all in the problem that decides a grade, and of the limit in seconds."""
    return _hash([request_hash, attempt.problem.sha256, timeout])


@lru_cache
def _fields(target: Target) -> dict[str, Any]:
    """The fields of a target by name; copied once, as a run asks few targets very often."""
    return asdict(target)


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
