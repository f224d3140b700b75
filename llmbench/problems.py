"""Problem files: every fault at once, each with its file, line, field and reason."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from llmbench import yaml_files
from llmbench.errors import ProblemFileError, UsageError
from llmbench.records import Problem

Languages = Mapping[str, Mapping[str, Sequence[str]]]
"""Language to its runner's options, and each option to its values."""

FieldPath = tuple[str | int, ...]

MAX_SECONDS = 86400
"""Longest `timeout` of a problem, in seconds: a day."""

TIMES = re.compile(r"[0-9]+(\.[0-9]+)?x")
ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.IGNORECASE)

FIELDS = tuple(field.name for field in fields(Problem) if field.name != "options")
"""Fields of a problem in any language; a runner's options are fields of their own."""

REQUIRED = tuple(
    field.name
    for field in fields(Problem)
    if field.default is MISSING and field.default_factory is MISSING
)

FORMER_NAMES = {"wrong": "wrong_answers", "licence": "license"}
"""Field names that files may still use, and the names that replaced them."""

TAGS = {
    "caching": "values that are kept, expire or are shared",
    "cancellation": "work that is given up: contexts, abort signals, tasks, time limits",
    "concurrency": "several tasks, threads or goroutines at once",
    "data-structures": "queues, heaps, trees, graphs, intervals",
    "databases": "SQL, sessions, transactions",
    "errors": "failures that are reported, wrapped or gathered",
    "generics": "code for any type",
    "http": "clients, handlers, middleware, routes",
    "immutability": "values that never change after they were made",
    "io": "files, readers, writers, streams",
    "iterators": "generators and sequences, lazy or asynchronous",
    "json": "JSON that is read or written",
    "money": "exact amounts and rounding",
    "parsing": "text or bytes that are read by a grammar",
    "resources": "locks, connections, files and memory that are released",
    "security": "untrusted input, secrets, permissions",
    "text": "Unicode, encodings, formats for people",
    "time": "clocks, calendars, time zones, timers",
    "types": "static types, discriminated unions, inference",
    "validation": "input that is accepted or refused",
}
"""The tags of the shipped problems, each with the subjects that it stands for."""

_PROBLEM = TypeAdapter(Problem)


_RESOLVERS = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if not (tag == "tag:yaml.org,2002:bool" and first in "yYnNoO")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
"""The types of YAML with true and false as its only booleans, so that `off` stays a word."""

_MERGE = "tag:yaml.org,2002:merge"


def load(sources: Iterable[Path], languages: Languages) -> list[Problem]:
    """Read problem files, and folders of them, in name order.

    Raises:
        ProblemFileError: with every fault of every file.
        UsageError: a source does not exist or has no problem file.
    """
    faults: list[str] = []
    problems: list[Problem] = []
    first_places: dict[str, str] = {}
    for path in _files(sources):
        file = _ProblemFile(path, languages)
        for problem, line in file.read():
            if problem.id in first_places:
                reason = f"{problem.id!r} is the id of {first_places[problem.id]} too"
                file.fault(("id",), reason, line)
            else:
                first_places[problem.id] = f"{path}:{line}"
                problems.append(problem)
        faults += file.report()
    if faults:
        raise ProblemFileError(faults)
    return problems


def select(
    problems: Iterable[Problem], *, langs: Sequence[str] = (), only: Sequence[str] = ()
) -> list[Problem]:
    """Return the problems of these languages whose id matches one of these globs.

    No languages mean all, and so do no globs.

    Raises:
        UsageError: a language or a glob matches no problem.
    """
    chosen = list(problems)
    for lang in langs:
        if not any(p.lang == lang for p in chosen):
            known = ", ".join(sorted({p.lang for p in chosen}))
            raise UsageError(f"--langs {lang}: no problem is in this language (there are: {known})")
    if langs:
        chosen = [p for p in chosen if p.lang in langs]
    for glob in only:
        if not any(fnmatchcase(p.id, glob) for p in chosen):
            ids = ", ".join(p.id for p in chosen[:8])
            raise UsageError(f"--only {glob}: no problem id matches (ids are like: {ids})")
    if only:
        chosen = [p for p in chosen if any(fnmatchcase(p.id, glob) for glob in only)]
    return chosen


def _files(sources: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = sorted([*source.glob("*.yaml"), *source.glob("*.yml")])
            if not inside:
                raise UsageError(f"--problems {source}: no .yaml file in this folder")
            files += inside
        elif source.is_file():
            files.append(source)
        else:
            raise UsageError(f"--problems {source}: no such file or folder")
    return files


class _ProblemFile:
    """A reader of one file, which gathers the faults of its problems.

    A field path leads to a value of the file: the index of the problem, then names.
    """

    def __init__(self, path: Path, languages: Languages) -> None:
        self.path = path
        self.languages = languages
        self._faults: list[tuple[int, str]] = []
        self._lines: dict[FieldPath, int] = {}
        self._names_in_file: dict[FieldPath, str] = {}  # of fields under a former name

    def fault(self, field: FieldPath, reason: str, line: int | None = None) -> None:
        """Add a fault of a field, by default in the line of the innermost part that has one."""
        if former := self._names_in_file.get(field[:2]):
            field = (field[0], former, *field[2:])
        name = ".".join(str(part) for part in field if not isinstance(part, int))
        while line is None and field:
            line = self._lines.get(field)
            field = field[:-1]
        self._faults.append((line or 1, f"{name}: {reason}" if name else reason))

    def report(self) -> list[str]:
        """Return the faults as lines for people, in the order of the file."""
        return [f"{self.path}:{line}: {text}" for line, text in sorted(self._faults)]

    def read(self) -> list[tuple[Problem, int]]:
        """Return the problems without a fault, each with its line."""
        problems = []
        for index, item in enumerate(self._items()):
            if not isinstance(item, dict):
                self.fault((index,), "a problem is a mapping with id, lang, prompt and tests")
                continue
            problem = self._problem(index, item)
            if problem is not None:
                problems.append((problem, self._lines[index,]))
        return problems

    def _items(self) -> list[Any]:
        try:
            items = yaml_files.parse(self.path, self._construct, _RESOLVERS)
        except yaml_files.YamlError as error:
            self.fault((), error.reason, error.line)
            return []
        if not isinstance(items, list) or not items:
            self.fault((), "a problem file is a list of problems: - id: …", 1)
            return []
        return items

    def _construct(self, loader: yaml_files.Loader) -> Any:
        node = loader.get_single_node()
        return None if node is None else self._plain(loader, node, ())

    def _plain(self, loader: yaml_files.Loader, node: yaml.Node, path: FieldPath) -> Any:
        """Return the node as plain data, and note the line of each field."""
        self._lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(loader, child, (*path, i)) for i, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            mapping: dict[str, Any] = {}
            for key_node, child in node.value:
                line = key_node.start_mark.line + 1
                if key_node.tag == _MERGE:
                    self.fault(path, "merge keys (<<) are not supported: write the fields", line)
                    continue
                key = loader.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    self.fault(path, f"the key {key!r} must be text", line)
                    continue
                value = self._plain(loader, child, (*path, key))
                self._lines[*path, key] = line
                if key in mapping:
                    self.fault((*path, key), "appears a second time")
                mapping[key] = value
            return mapping
        return loader.construct_object(node, deep=True)

    def _problem(self, index: int, item: dict[str, Any]) -> Problem | None:
        faults_before = len(self._faults)
        item = self._with_present_names(index, item)
        options = self._options(index, item)
        for name in REQUIRED:
            if name not in item:
                self.fault((index, name), "is missing", self._lines[index,])
        values = {name: item[name] for name in FIELDS if name in item}
        problem = None
        try:
            problem = _PROBLEM.validate_python({**values, "options": options})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                if detail["type"] != "missing":
                    self.fault((index, *detail["loc"]), _reason(detail["msg"], detail["input"]))
        if problem is not None:
            self._check(index, problem)
        return problem if len(self._faults) == faults_before else None

    def _with_present_names(self, index: int, item: dict[str, Any]) -> dict[str, Any]:
        """Return the fields without former names; faults still use the name of the file."""
        for former, name in FORMER_NAMES.items():
            if former in item and name in item:
                reason = f"is the former name of {name}, which is here too: keep {name} alone"
                self.fault((index, former), reason)
            elif former in item:
                self._names_in_file[index, name] = former
        return {FORMER_NAMES.get(name, name): value for name, value in item.items()}

    def _options(self, index: int, item: dict[str, Any]) -> dict[str, str]:
        """Return the fields that the language's runner declares; other unknown ones are faults."""
        lang = item.get("lang")
        known = self.languages.get(lang, {}) if isinstance(lang, str) else {}
        if isinstance(lang, str) and lang not in self.languages:
            there = ", ".join(sorted(self.languages))
            self.fault((index, "lang"), f"no runner for {lang!r} (there are: {there})")
        options = {}
        for name, value in item.items():
            if name in FIELDS:
                continue
            if name not in known:
                names = ", ".join((*FIELDS, *known))
                self.fault((index, name), f"unknown field (fields are: {names})")
            elif value not in known[name]:
                self.fault((index, name), f"{value!r} is not one of {', '.join(known[name])}")
            else:
                options[name] = value
        return options

    def _check(self, index: int, problem: Problem) -> None:
        if not ID.fullmatch(problem.id):
            self.fault((index, "id"), f"{problem.id!r} may have letters, digits and . _ - only")
        if not problem.prompt.strip():
            self.fault((index, "prompt"), "is empty")
        if not problem.tests:
            self.fault((index, "tests"), "has no test file")
        self._check_timeout(index, problem)
        for field in ("tests", "files"):
            for path in getattr(problem, field):
                if not is_inside(path):
                    reason = "the path must be relative and stay inside the work folder"
                    self.fault((index, field, path), reason)
        for path in problem.tests.keys() & problem.files.keys():
            self.fault((index, "files", path), "is a test file too")
        for name in problem.compile_errors:
            if name not in problem.wrong_answers:
                self.fault((index, "compile_errors"), f"no wrong answer is named {name!r}")

    def _check_timeout(self, index: int, problem: Problem) -> None:
        timeout = problem.timeout
        reason = None
        if isinstance(timeout, str):
            if not TIMES.fullmatch(timeout) or not 1 <= float(timeout[:-1]) <= 1000:
                reason = (
                    f"{timeout!r} is neither seconds nor, like 5x, a multiple of the reference's"
                    " time, 1x to 1000x"
                )
            elif problem.reference is None:
                reason = f"{timeout} needs a reference, whose time it multiplies"
        elif timeout is not None and not 0 < timeout <= MAX_SECONDS:
            reason = f"{timeout:g} is not a number of seconds above 0, at most {MAX_SECONDS}"
        if reason is not None:
            self.fault((index, "timeout"), reason)


def is_inside(path: str) -> bool:
    """True if a path is relative, plain, and stays inside the folder that it starts from."""
    pure = PurePosixPath(path)
    plain = path != "" and "\\" not in path and not any(ord(c) < 32 for c in path)
    return plain and str(pure) == path and not pure.is_absolute() and ".." not in pure.parts


def _reason(message: str, value: object) -> str:
    """Return a validator's message as the end of a line, with the value that it is about."""
    text = repr(value)
    short = text if len(text) < 60 else text[:57] + "…"
    return f"{message[0].lower()}{message[1:]}, not {short}"
