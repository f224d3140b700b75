"""Finds the source files on which a test module depends, by following its imports.

An import counts wherever it stands, also in a function, and so does the name of a module in a
string, by which the package loads commands, sandboxes and formats. A file that loads a module by a
name that it computes depends on all of its package.
"""

import ast
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

PACKAGE = "llmbench"
SEARCH_PATH = (".", "tests", "scripts", "scripts/benchmarks")
MODULE_NAME = re.compile(rf"{PACKAGE}(\.\w+)+(:\w+)?")
LOADERS = frozenset({"import_module", "resolve_name", "__import__"})


class Imports:
    """The files of a checkout that other files of it import, directly or through others."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._direct: dict[Path, frozenset[Path]] = {}

    def closure(self, *paths: Path) -> frozenset[Path]:
        """Return these files and all that they import."""
        known: set[Path] = set()
        waiting = list(paths)
        while waiting:
            path = waiting.pop()
            if path not in known:
                known.add(path)
                waiting += self._imported_by(path)
        return frozenset(known)

    @cached_property
    def package(self) -> frozenset[Path]:
        """All source files of the package."""
        return frozenset((self._root / PACKAGE).rglob("*.py"))

    def _imported_by(self, path: Path) -> frozenset[Path]:
        if path not in self._direct:
            self._direct[path] = frozenset(self._read(path))
        return self._direct[path]

    def _read(self, path: Path) -> Iterator[Path]:
        # The package itself loads its interface when a name of that is asked for.
        if path == self._root / PACKAGE / "__init__.py":
            return
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        yield from self._files(path, alias.name)
                case ast.Attribute(value=ast.Name(id=name), attr=attr) if name == PACKAGE:
                    if not attr.startswith("__"):  # of the interface
                        yield from self.package
                case ast.ImportFrom(module=module, names=names, level=level):
                    base = self._absolute(path, module, level)
                    for alias in names:
                        yield from self._from(path, base, alias.name)
                case ast.Constant(value=str(text)) if MODULE_NAME.fullmatch(text):
                    yield from self._files(path, text.partition(":")[0])
                case ast.Call(args=[first, *_]) if _name(node.func) in LOADERS:
                    if not isinstance(first, ast.Constant):
                        yield from path.parent.rglob("*.py")

    def _absolute(self, path: Path, module: str | None, level: int) -> str:
        if not level:
            return module or ""
        folder = path.parents[level - 1].relative_to(self._root)
        return ".".join([*folder.parts, *filter(None, [module])])

    def _from(self, path: Path, base: str, name: str) -> Iterator[Path]:
        """Yield the files of `from base import name`."""
        submodule = list(self._files(path, f"{base}.{name}"))
        if base == PACKAGE and not submodule:
            yield from self.package
        yield from submodule or self._files(path, base)

    def _files(self, path: Path, module: str) -> Iterator[Path]:
        """Yield the file of a module and those of its packages; none if it is not of ours."""
        parts = module.split(".")
        for folder in (path.parent, *(self._root / name for name in SEARCH_PATH)):
            here = folder.joinpath(*parts)
            for file in (here.with_suffix(".py"), here / "__init__.py"):
                if file.is_file():
                    yield file
                    for package in file.parents:
                        if package == folder:
                            return
                        if (package / "__init__.py").is_file():
                            yield package / "__init__.py"


def _name(function: ast.expr) -> str:
    """The last part of the name of a called function."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
