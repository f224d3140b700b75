"""Problem files to problems: every fault at once, each with file, line, field and reason."""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from llmbench.errors import ProblemFileError, UsageError
from llmbench.records import Problem

Languages = Mapping[str, Mapping[str, Sequence[str]]]
"""Language to its runner's options, and each option to the values it takes."""

FieldPath = tuple[str | int, ...]

TIMES = re.compile(r"[0-9]+(\.[0-9]+)?x")
ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}", re.IGNORECASE)
REQUIRED = ("id", "lang", "prompt", "tests")
OPTIONAL = (
    *("reference", "wrong_answers", "compile_errors", "timeout", "tags", "difficulty", "files"),
    *("origin", "licence"),
)

FORMER_NAMES = {"wrong": "wrong_answers", "licence": "license"}
"""Fields of a problem under names that files may still use, and their names now."""

_PROBLEM = TypeAdapter(Problem)


class _Loader(yaml.SafeLoader):
    """YAML in which only true and false are booleans, so that `off` stays a word."""


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if not (tag == "tag:yaml.org,2002:bool" and first in "yYnNoO")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(sources: Iterable[Path], languages: Languages) -> list[Problem]:
    """Read problem files, and folders of them, in name order.

    Raises:
        ProblemFileError: with every fault of every file.
        UsageError: a source does not exist or holds no problem file.
    """
    faults: list[str] = []
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for path in _files(sources):
        file = _ProblemFile(path, languages)
        for problem, where in file.read():
            if problem.id in seen:
                file.fault(("id",), f"{problem.id!r} is already taken by {seen[problem.id]}", where)
            else:
                seen[problem.id] = f"{path}:{where}"
                problems.append(problem)
        faults += file.told()
    if faults:
        raise ProblemFileError(faults)
    return problems


def select(
    problems: Iterable[Problem], *, langs: Sequence[str] = (), only: Sequence[str] = ()
) -> list[Problem]:
    """The problems of these languages whose id matches one of these globs; empty means all.

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
    found: list[Path] = []
    for source in sources:
        if source.is_dir():
            inside = sorted([*source.glob("*.yaml"), *source.glob("*.yml")])
            if not inside:
                raise UsageError(f"--problems {source}: no .yaml file in this folder")
            found += inside
        elif source.is_file():
            found.append(source)
        else:
            raise UsageError(f"--problems {source}: no such file or folder")
    return found


class _ProblemFile:
    """One file on its way to problems; `faults` gathers what is wrong with it."""

    def __init__(self, path: Path, languages: Languages) -> None:
        self.path = path
        self.languages = languages
        self.faults: list[tuple[int, str]] = []
        self.lines: dict[FieldPath, int] = {}

    def fault(self, field: FieldPath, reason: str, line: int | None = None) -> None:
        while line is None:
            line = self.lines.get(field)
            if line is None and not field:
                line = 1
            elif line is None:
                field = field[:-1]
        name = ".".join(str(part) for part in field if not isinstance(part, int))
        self.faults.append((line, f"{name + ': ' if name else ''}{reason}"))

    def told(self) -> list[str]:
        """The faults in the order of their lines, for people."""
        return [f"{self.path}:{line}: {text}" for line, text in sorted(self.faults)]

    def read(self) -> list[tuple[Problem, int]]:
        """The good problems with their lines."""
        items = self._items()
        read = []
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                self.fault((index,), "a problem is a mapping with id, lang, prompt and tests")
                continue
            problem = self._problem(index, item)
            if problem is not None:
                read.append((problem, self.lines[index,]))
        return read

    def _items(self) -> list[Any]:
        try:
            loader = _Loader(self.path.read_text(encoding="utf-8-sig"))
            try:
                node = loader.get_single_node()
                items = None if node is None else self._plain(loader, node, ())
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.fault((), f"not YAML: {error.problem}", mark.line + 1 if mark else 1)
            return []
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
            self.fault((), f"cannot be read: {str(error).splitlines()[0]}", 1)
            return []
        if not isinstance(items, list) or not items:
            self.fault((), "a problem file is a list of problems: - id: …", 1)
            return []
        return items

    def _plain(self, loader: _Loader, node: yaml.Node, at: FieldPath) -> Any:
        """The node as plain data; notes the line of each field on the way."""
        self.lines[at] = node.start_mark.line + 1
        if isinstance(node, yaml.SequenceNode):
            return [self._plain(loader, child, (*at, i)) for i, child in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            mapping: dict[Any, Any] = {}
            for key_node, child in node.value:
                key = loader.construct_object(key_node, deep=True)
                if not isinstance(key, str):
                    self.fault(at, f"the key {key!r} must be text", key_node.start_mark.line + 1)
                    continue
                if len(at) == 1:
                    key = FORMER_NAMES.get(key, key)
                value = self._plain(loader, child, (*at, key))
                self.lines[*at, key] = key_node.start_mark.line + 1
                if key in mapping:
                    self.fault((*at, key), "stands here a second time")
                mapping[key] = value
            return mapping
        return loader.construct_object(node, deep=True)

    def _problem(self, index: int, item: dict[str, Any]) -> Problem | None:
        before = len(self.faults)
        options = self._options(index, item)
        for name in REQUIRED:
            if name not in item:
                self.fault((index, name), "is missing", self.lines[index,])
        plain = {name: item[name] for name in (*REQUIRED, *OPTIONAL) if name in item}
        problem = None
        try:
            problem = _PROBLEM.validate_python({**plain, "options": options})
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                if detail["type"] != "missing":
                    self.fault((index, *detail["loc"]), _reason(detail["msg"], detail["input"]))
        if problem is not None:
            self._check(index, problem)
        return problem if len(self.faults) == before else None

    def _options(self, index: int, item: dict[str, Any]) -> dict[str, str]:
        """The fields that the language's runner declares; any other unknown field is a fault."""
        lang = item.get("lang")
        known = self.languages.get(lang, {}) if isinstance(lang, str) else {}
        if isinstance(lang, str) and lang not in self.languages:
            there = ", ".join(sorted(self.languages))
            self.fault((index, "lang"), f"no runner for {lang!r} (there are: {there})")
        options = {}
        for name, value in item.items():
            if name in REQUIRED or name in OPTIONAL:
                continue
            if name not in known:
                fields = ", ".join((*REQUIRED, *OPTIONAL, *known))
                self.fault((index, name), f"unknown field (fields are: {fields})")
            elif value not in known[name]:
                self.fault((index, name), f"{value!r} is not one of {', '.join(known[name])}")
            else:
                options[name] = value
        return options

    def _check(self, index: int, problem: Problem) -> None:
        if not ID.fullmatch(problem.id):
            self.fault((index, "id"), f"{problem.id!r} may hold letters, digits and . _ - only")
        if not problem.prompt.strip():
            self.fault((index, "prompt"), "is empty")
        if not problem.tests:
            self.fault((index, "tests"), "holds no test file")
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
                self.fault((index, "compile_errors"), f"{name!r} is no wrong answer's name")

    def _check_timeout(self, index: int, problem: Problem) -> None:
        given = problem.timeout
        if isinstance(given, str):
            if not TIMES.fullmatch(given) or float(given[:-1]) < 1:
                reason = (
                    f"{given!r} is neither seconds nor, like 5x, times what the reference takes"
                )
                self.fault((index, "timeout"), reason)
            elif problem.reference is None:
                self.fault((index, "timeout"), f"{given} needs a reference to be measured by")
        elif given is not None and not 0 < given < float("inf"):
            self.fault((index, "timeout"), f"{given:g} is not a number of seconds above 0")


def is_inside(path: str) -> bool:
    """True when a path is relative, plain, and stays inside the folder it is placed in."""
    pure = PurePosixPath(path)
    plain = path != "" and "\\" not in path and not any(ord(c) < 32 for c in path)
    return plain and str(pure) == path and not pure.is_absolute() and ".." not in pure.parts


def _reason(message: str, value: object) -> str:
    shown = repr(value)
    return (
        f"{message[0].lower()}{message[1:]}, not {shown if len(shown) < 60 else shown[:57] + '…'}"
    )
