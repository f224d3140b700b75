"""`llmbench problems import`: convert another collection to a problem file."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import yaml

from llmbench import importers
from llmbench import problems as problem_files
from llmbench.cli.options.problems import ImportOptions
from llmbench.cli.problems import languages
from llmbench.errors import OutputError, SandboxError, UsageError
from llmbench.importers import base
from llmbench.importers.base import ImportResult, Language
from llmbench.problem_check import ProblemChecker
from llmbench.records import Outcome, Problem
from llmbench.reports.console import Console
from llmbench.runners import AUTHORING, Runner
from llmbench.sandboxes.open import open_sandbox
from llmbench.store.run_dir import new_run_id
from llmbench.texts import counted


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
    problems: list[Problem] = []
    if result.problems:
        _write(options.out, result.problems)
        problems = problem_files.load([options.out], languages(runners))
    _report(console, options.out, result)
    solved = [problem for problem in problems if problem.reference is not None]
    if solved:
        anyio.run(_run_references, options, solved, runners, console)
    return 0 if result.problems else 1


def _report(console: Console, out: Path, result: ImportResult) -> None:
    count, skipped = len(result.problems), len(result.skipped)
    if not count:
        console.warn(f"nothing could be converted, {skipped} skipped")
        return
    for license, number in Counter(p["license"] for p in result.problems).items():
        problems = counted(number, "problem", "problems")
        console.print(f"{problems} under {license}: observe it if you share them")
    console.print(f"{out}: {counted(count, 'problem', 'problems')}, {skipped} skipped")
    console.print(f"then: llmbench problems check --problems {out}")


async def _run_references(
    options: ImportOptions,
    problems: Sequence[Problem],
    runners: Mapping[str, Runner],
    console: Console,
) -> None:
    """Run the references, and print how many pass and which do not; without a sandbox, say so."""
    try:
        sandbox = await open_sandbox(
            options.spec,
            {lang: runners[lang] for lang in sorted({p.lang for p in problems})},
            run_id=new_run_id(),
            own_answers=False,
            notify=console.info,
            warn=console.warn,
        )
    except SandboxError as error:
        console.warn(f"the references were not run: {error}")
        return
    number = counted(len(problems), "reference runs", "references run")
    console.info(f"{number} in {sandbox.name}")
    checker = ProblemChecker(
        sandbox, runners, test_timeout=options.test_timeout, slots=options.sandbox_slots
    )
    failed: dict[str, str] = {}

    async def run(problem: Problem) -> None:
        try:
            outcome = str((await checker.run_reference(problem)).outcome)
        except SandboxError as error:
            outcome = str(error)
        if outcome != Outcome.PASSED:
            failed[problem.id] = outcome

    try:
        async with anyio.create_task_group() as tasks:
            for problem in problems:
                tasks.start_soon(run, problem)
    finally:
        await sandbox.aclose()
    for id_, outcome in sorted(failed.items()):
        console.print(f"the reference of {id_} does not pass: {outcome}")
    passed = len(problems) - len(failed)
    console.print(f"{passed} of {len(problems)} references pass")


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
