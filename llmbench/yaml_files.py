"""YAML files that people write: their data, or one line about why they cannot be used."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from llmbench.errors import UsageError

# In quotes, because PyYAML can be built without libyaml.
Loader: TypeAlias = "yaml.SafeLoader | yaml.CSafeLoader"
Resolvers = dict[str, list[tuple[str, re.Pattern[str]]]]
"""First character of a plain scalar to the tags that it may have, with the pattern of each."""

T = TypeVar("T")

_HALF = re.compile("[\ud800-\udfff]")
"""A surrogate, which an escape can write and no file can hold."""

MAX_DEPTH = 100
"""Most mappings and sequences inside each other. A loader recurses once for each."""

MAX_ALIASED = 10_000
"""Most values that the aliases of a file stand for, with those of the aliases inside them."""

# libyaml is forty times as fast. It refuses a few texts that the parser written in Python reads,
# and says less about the faults of others: then that parser decides.
_LOADERS: tuple[type[Loader], ...] = (
    (yaml.CSafeLoader, yaml.SafeLoader) if yaml.__with_libyaml__ else (yaml.SafeLoader,)
)


class YamlError(Exception):
    """A file that cannot be read or is not usable YAML.

    `reason` is one line. `line` counts from 1; it is None if the reason has no place in the text.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line


def load(path: Path, error_class: type[UsageError] = UsageError) -> Any:
    """Return the plain data of a file.

    Raises:
        UsageError: the file cannot be read or is not YAML; an `error_class`.
    """
    try:
        return parse(path, lambda loader: loader.get_single_data())
    except YamlError as error:
        where = f"{path}:{error.line}" if error.line else f"{path}"
        raise error_class(f"{where}: {error.reason}") from None


def load_as(path: Path, adapter: TypeAdapter[T], error_class: type[UsageError] = UsageError) -> T:
    """Return the data of a file as a value of the adapter's type.

    Raises:
        UsageError: as in `load`, or a field is missing or wrong; the first such field is named.
    """
    try:
        return adapter.validate_python(load(path, error_class))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"])) or "the file"
        cause = first.get("ctx", {}).get("error")
        raise error_class(f"{path}: {field}: {cause or first['msg']}") from None


def parse(path: Path, construct: Callable[[Loader], T], resolvers: Resolvers | None = None) -> T:
    """Return the result of `construct` on a loader of the file.

    `resolvers` replaces the rules for the types of plain scalars.

    Raises:
        YamlError: the file cannot be read, is not YAML, or is too deep or too large to be loaded.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise YamlError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise YamlError(f"cannot be read: {error}") from None
    try:
        loader = _open(text)
        if resolvers is not None:
            loader.yaml_implicit_resolvers = resolvers
        try:
            return construct(loader)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise YamlError(f"not YAML: {reason}", mark.line + 1 if mark else None) from None
    # Dates that no calendar has, characters that YAML excludes, and tags that do not fit a value.
    except (ValueError, LookupError, AttributeError, yaml.YAMLError) as error:
        raise YamlError(f"not YAML: {str(error).splitlines()[0]}") from None


def _open(text: str) -> Loader:
    """Return a loader that can read the whole text; its errors are those of the last loader."""
    *others, last = _LOADERS
    for loader_class in others:
        try:
            _check_size(text, loader_class)
            return loader_class(text)
        except yaml.YAMLError:
            pass
    _check_size(text, last)
    return last(text)


def _check_size(text: str, loader_class: type[Loader]) -> None:
    """Refuse a text whose depth would crash a loader, or whose aliases would fill the memory."""
    anchors: list[str | None] = [None]  # of the open collections, outermost first
    counts = [0]  # values in each of them so far
    sizes: dict[str, int] = {}  # values that an anchor stands for
    aliased = 0
    for event in yaml.parse(text, Loader=loader_class):
        line = event.start_mark.line + 1 if event.start_mark else None
        match event:
            case yaml.CollectionStartEvent():
                if len(counts) > MAX_DEPTH:
                    raise YamlError(f"is nested more than {MAX_DEPTH} levels deep", line)
                anchors.append(event.anchor)
                counts.append(1)
            case yaml.CollectionEndEvent():
                anchor, size = anchors.pop(), counts.pop()
                counts[-1] += size
                if anchor is not None:
                    sizes[anchor] = size
            case yaml.ScalarEvent():
                if half := _HALF.search(event.value):
                    raise YamlError(f"{half[0]!a} is half of a character", line)
                counts[-1] += 1
                if event.anchor is not None:
                    sizes[event.anchor] = 1
            case yaml.AliasEvent():
                if event.anchor in anchors:
                    raise YamlError(f"*{event.anchor} is inside the value that it repeats", line)
                if event.anchor not in sizes:
                    raise YamlError(f"*{event.anchor} has no &{event.anchor} above it", line)
                counts[-1] += sizes[event.anchor]
                aliased += sizes[event.anchor]
                if aliased > MAX_ALIASED:
                    raise YamlError(f"its aliases repeat more than {MAX_ALIASED} values", line)
