"""`llmbench problems import`: another collection's problems as a problem file."""

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from llmbench import problems as problem_files
from llmbench.cli.options.problems import ImportOptions
from llmbench.cli.problems import languages
from llmbench.errors import OutputError, UsageError
from llmbench.importers import base
from llmbench.importers.base import Imported, Language
from llmbench.reports.console import Console
from llmbench.runners import AUTHORING, Runner


def import_all(options: ImportOptions, runners: dict[str, Runner]) -> int:
    """Convert what can be converted, list what cannot and why; 1 if nothing could.

    Raises:
        UsageError: the source is not there or not of this format, or the file is there already.
        OutputError: the file cannot be written.
    """
    if options.out.exists():
        raise UsageError(f"-o {options.out}: is there already: choose another name, or remove it")
    if not options.source.exists():
        raise UsageError(f"{options.source}: no such file or folder")
    known = [
        Language(
            lang,
            runner.config.fences[0],
            runner.config.solution,
            base.load_config(runner.folder / AUTHORING),
        )
        for lang, runner in runners.items()
    ]
    module = import_module(f"llmbench.importers.{options.format.replace('-', '_')}")
    imported: Imported = module.read(options.source, known)
    console = Console(quiet=False)
    for name, reason in imported.skipped:
        console.print(f"skipped {name}: {reason}")
    if imported.problems:
        _write(options.out, imported.problems)
        problem_files.load([options.out], languages(runners))
    _tell(console, options.out, imported)
    return 0 if imported.problems else 1


def _tell(console: Console, out: Path, imported: Imported) -> None:
    count, left = len(imported.problems), len(imported.skipped)
    if not count:
        console.warn(f"nothing could be converted, {left} skipped")
        return
    for license, number in Counter(p["license"] for p in imported.problems).items():
        console.print(f"{number} problems under {license}: heed it where you pass them on")
    console.print(f"{out}: {count} problems, {left} skipped")
    console.print(f"then: llmbench problems check --problems {out}")


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _write(path: Path, problems: list[dict[str, Any]]) -> None:
    text = yaml.dump(problems, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
