"""Parts that importers share: a language's rules, the rows of a file, the result of an import."""

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, with_config

from llmbench import yaml_files
from llmbench.errors import LlmbenchError, RunnerFileError, UsageError

FILE = "import.yaml"


class ConversionError(LlmbenchError):
    """One entry cannot become a problem; the import continues with the next one."""


class Skipped(NamedTuple):
    """An entry that could not be converted, and the reason."""

    name: str
    reason: str


@dataclass(slots=True)
class ImportResult:
    """Problems, with the fields of a problem file, and the entries that were skipped."""

    problems: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, name: str, convert: Callable[[], dict[str, Any]]) -> None:
        """Add the problem that `convert` returns, or skip the entry if it cannot be converted."""
        try:
            self.problems.append(convert())
        except ConversionError as error:
            self.skipped.append(Skipped(name, str(error)))
        except (KeyError, TypeError, AttributeError) as error:
            self.skipped.append(Skipped(name, f"is not of this format: {error!r}"))


Rules = Sequence[tuple[str, str]]
"""Regular expressions and their replacements, in order; `^` and `$` match at each line."""


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """The packages of a language that must import all it uses, and nothing else.

    `declaration` matches an import at the beginning of a text, `ignored` the parts of code that
    use no package. `names` map the name in code, which stands before a dot, to the package.
    """

    declaration: str
    ignored: str
    names: Mapping[str, str]
    head: str
    item: str
    tail: str

    def with_imports(self, package: str, code: str) -> str:
        """Return code behind its `package` line with imports of the packages that it uses."""
        code = re.sub(self.declaration, "", code, flags=re.MULTILINE).lstrip("\n")
        plain = re.sub(self.ignored, "", code, flags=re.MULTILINE | re.DOTALL)
        used = [path for name, path in self.names.items() if re.search(rf"\b{name}\.\w", plain)]
        items = "".join(fill(self.item, package=path) for path in sorted(used))
        return package + (f"{self.head}{items}{self.tail}" if used else "") + code


@with_config({"extra": "forbid"})
@dataclass(frozen=True, slots=True, kw_only=True)
class ImportConfig:
    """The rules of one language in `authoring/import.yaml`; runners/README.md has the fields."""

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
    exercise_options: Mapping[str, str] = field(default_factory=dict)
    has_test: str | None = None
    leave_out: tuple[str, ...] = ()
    packages: Packages | None = None


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its name, the tag of its fences, its solution file, its rules.

    `completes` is true if a body can complete a stub in it.
    """

    lang: str
    fence: str
    solution: str
    config: ImportConfig
    completes: bool = False

    def problem(
        self, id_: str, task: str, stub: str | None, *, completion: bool = False
    ) -> dict[str, Any]:
        """Return the first fields of a problem, up to a prompt with the task and its stub.

        With `completion`, an answer may hold only the body of the function that ends the stub.
        """
        parts = [task.strip()]
        if stub and stub.strip():
            parts.append(f"```{self.fence}\n{stub.rstrip()}\n```")
        parts.append(f"Answer with one file, `{self.solution}`, in one fenced code block.")
        prompt = "\n\n".join(part for part in parts if part) + "\n"
        options: dict[str, str] = {**self.config.options}
        if completion and self.completes:
            options["completion"] = "prepend"
        return {"id": id_, "lang": self.lang, **options, "prompt": prompt}


_CONFIG = TypeAdapter(ImportConfig)


def load_config(folder: Path) -> ImportConfig:
    """Read a language's rules from its `authoring` folder.

    Raises:
        RunnerFileError: the rules are missing or wrong.
    """
    return yaml_files.load_as(folder / FILE, _CONFIG, RunnerFileError)


def language_named(languages: Sequence[Language], name: str) -> Language:
    """Return the language that other collections call `name`.

    Raises:
        ConversionError: no language has this name.
    """
    for language in languages:
        if name.lower() in (language.lang, *language.config.names):
            return language
    raise ConversionError(f"no language here is called {name!r}")


def language_for(languages: Sequence[Language], format_: str) -> Language:
    """Return the language of a format that has only one.

    Raises:
        RunnerFileError: no language's rules name the format.
    """
    for language in languages:
        if format_ in language.config.formats:
            return language
    raise RunnerFileError(f"{FILE}: no language names the format {format_!r}")


def rewrite(text: str, rules: Rules, **values: str) -> str:
    """Apply all rules to a text; `{name}` in a rule stands for the value of that name."""
    for pattern, replacement in rules:
        for name, value in values.items():
            pattern = pattern.replace(f"{{{name}}}", re.escape(value))
            replacement = replacement.replace(f"{{{name}}}", value)
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def fill(template: str, **values: str) -> str:
    """Return a template with its `{name}` replaced by values; other braces stay."""
    # In one pass, so that braces inside a value stay too.
    return re.sub(r"\{(\w+)\}", lambda name: values.get(name[1], name[0]), template)


def convert_rows(
    path: Path, convert: Callable[[dict[str, Any]], dict[str, Any]], *, name_field: str = "task_id"
) -> ImportResult:
    """Convert each row of a file; `name_field` has the name of a row in messages.

    Raises:
        UsageError: as in `read_rows`.
    """
    result = ImportResult()
    for position, row in read_rows(path):
        result.add(str(row.get(name_field, position)), partial(convert, row))
    return result


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a JSONL or JSON file, gzipped or not, each with its position.

    Raises:
        UsageError: the file cannot be read or is not JSON objects; the message names the line.
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
    """Return a text in the form of a part of an id."""
    return re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")
