"""YAML files that people write: what they say, or in one line why they cannot be used."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from llmbench.errors import UsageError

T = TypeVar("T")


def load(path: Path, fault: type[UsageError] = UsageError) -> Any:
    """The plain data of a file.

    Raises:
        UsageError: it cannot be read or is not YAML; of the kind `fault`.
    """
    try:
        # Not by the loader in C: it dies of deep nesting, and this one says so.
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise fault(f"{path}: cannot be read: {error.strerror}") from None
    # A date that no calendar has is a ValueError, and so is text that is not UTF-8.
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise fault(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def load_as(path: Path, kind: TypeAdapter[T], fault: type[UsageError] = UsageError) -> T:
    """What a file says, as a value of this kind.

    Raises:
        UsageError: as `read` does, or a field is missing or wrong: the first is named.
    """
    try:
        return kind.validate_python(load(path, fault))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        reason = first["msg"].removeprefix("Value error, ")
        raise fault(f"{path}: {where}: {reason}") from None
