"""What importers share: facts about languages, rows of a file, and what an import comes to."""

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, with_config

from llmbench import yaml_files
from llmbench.errors import LlmbenchError, RunnerFileError, UsageError

FILE = "import.yaml"


class ConversionError(LlmbenchError):
    """One entry cannot become a problem; says why, and costs only that entry."""


class Skipped(NamedTuple):
    """An entry that could not be converted, and why."""

    name: str
    reason: str


@dataclass(slots=True)
class Imported:
    """What an import came to: problems as they stand in a problem file, and the rest."""

    problems: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def take(self, name: str, convert: Callable[[], dict[str, Any]]) -> None:
        """Convert one entry, or note why it cannot be."""
        try:
            self.problems.append(convert())
        except ConversionError as error:
            self.skipped.append(Skipped(name, str(error)))
        except (KeyError, TypeError, AttributeError) as error:
            self.skipped.append(Skipped(name, f"is not of this format: {error!r}"))


Rewriting = Sequence[tuple[str, str]]
"""Patterns with what takes the place of their matches, in order; lines have `^` and `$`."""


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True, kw_only=True)
class ImportConfig:
    """What `authoring/import.yaml` says; runners/README.md tells what each field means."""

    suffix: str
    names: tuple[str, ...]
    tests: tuple[str, ...]
    body: str
    cases: Mapping[str, str]
    formats: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    rewrite_tests: tuple[tuple[str, str], ...] = ()
    rewrite_stub: tuple[tuple[str, str], ...] = ()
    rewrite_cases: tuple[tuple[str, str], ...] = ()
    head: str | None = None
    oracle: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Language:
    """One language, for importers: its name here, its fence, its solution file, its facts."""

    lang: str
    fence: str
    solution: str
    facts: ImportConfig

    def problem(self, id_: str, task: str, stub: str | None) -> dict[str, Any]:
        """The beginning of a problem: a task, the code to begin with, and the form to answer in."""
        parts = [task.strip()]
        if stub and stub.strip():
            parts.append(f"```{self.fence}\n{stub.rstrip()}\n```")
        parts.append(f"Answer with one file, `{self.solution}`, in one fenced code block.")
        prompt = "\n\n".join(part for part in parts if part) + "\n"
        return {"id": id_, "lang": self.lang, **self.facts.options, "prompt": prompt}


_FACTS = TypeAdapter(ImportConfig)


def load_config(folder: Path) -> ImportConfig:
    """Read a language's facts from its `authoring` folder.

    Raises:
        RunnerFileError: they are missing or wrong.
    """
    return yaml_files.load_as(folder / FILE, _FACTS, RunnerFileError)


def named(languages: Sequence[Language], name: str) -> Language:
    """The language that others call so.

    Raises:
        CannotConvertError: there is none.
    """
    for language in languages:
        if name.lower() in (language.lang, *language.facts.names):
            return language
    raise ConversionError(f"no language here is called {name!r}")


def language_for(languages: Sequence[Language], format_: str) -> Language:
    """The one language of a format whose rows name none.

    Raises:
        RunnerFileError: no language's facts name the format.
    """
    for language in languages:
        if format_ in language.facts.formats:
            return language
    raise RunnerFileError(f"{FILE}: no language names the format {format_!r}")


def rewrite(text: str, rules: Rewriting, **places: str) -> str:
    """The text after all rules; `{name}` in a rule is one of the places."""
    for pattern, replacement in rules:
        for name, value in places.items():
            pattern = pattern.replace(f"{{{name}}}", re.escape(value))
            replacement = replacement.replace(f"{{{name}}}", value)
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def fill(template: str, **places: str) -> str:
    """The template with each `{name}` that is one of the places filled, in one pass."""
    return re.sub(r"\{(\w+)\}", lambda name: places.get(name[1], name[0]), template)


def rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a JSONL or JSON file, packed with gzip or not, each with its place.

    Raises:
        UsageError: it cannot be read or is no JSON of objects; names the line.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    if text.lstrip().startswith("["):
        entries = enumerate(_json(path, 1, text), 1)
        yield from ((f"entry {number}", _row(path, 1, row)) for number, row in entries)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", _row(path, number, _json(path, number, line))


def _json(path: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{line}: not JSON: {error.msg}") from None


def _row(path: Path, line: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UsageError(f"{path}:{line}: an entry is an object with named fields")
    return row


def slug(text: object) -> str:
    """A text as part of an id."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")
