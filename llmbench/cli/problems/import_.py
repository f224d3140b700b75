"""`llmbench problems import`: convert another collection to a problem file."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from llmbench import importers
from llmbench import problems as problem_files
from llmbench.cli.options.problems import ImportOptions
from llmbench.cli.problems import languages
from llmbench.errors import OutputError, UsageError
from llmbench.importers import base
from llmbench.importers.base import ImportResult, Language
from llmbench.reports.console import Console
from llmbench.runners import AUTHORING, Runner


def import_all(options: ImportOptions, runners: dict[str, Runner]) -> int:
    """Convert all entries, and list those that cannot be converted; 1 if no entry could.

    Raises:
        UsageError: the source does not exist or is not of this format, or the output exists.
        OutputError: the file cannot be written.
    """
    if options.out.exists():
        raise UsageError(f"-o {options.out}: exists", hint="choose another name, or remove it")
    if not options.source.exists():
        raise UsageError(f"{options.source}: no such file or folder")
    known_languages = [
        Language(
            lang,
            runner.config.fences[0],
            runner.config.solution,
            base.load_config(runner.folder / AUTHORING),
            completes=runner.config.completion is not None,
        )
        for lang, runner in runners.items()
    ]
    result = importers.read(options.format, options.source, known_languages)
    console = Console(quiet=False)
    for name, reason in result.skipped:
        console.print(f"skipped {name}: {reason}")
    if result.problems:
        _write(options.out, result.problems)
        problem_files.load([options.out], languages(runners))
    _report(console, options.out, result)
    return 0 if result.problems else 1


def _report(console: Console, out: Path, result: ImportResult) -> None:
    count, skipped = len(result.problems), len(result.skipped)
    if not count:
        console.warn(f"nothing could be converted, {skipped} skipped")
        return
    for license, number in Counter(p["license"] for p in result.problems).items():
        console.print(f"{number} problems under {license}: observe it if you share them")
    console.print(f"{out}: {count} problems, {skipped} skipped")
    console.print(f"then: llmbench problems check --problems {out}")


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: a text of several lines is a block."""


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
