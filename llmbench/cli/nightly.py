"""`llmbench nightly`: a sweep, the verdict on it, and the removal of old nights."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llmbench import stats
from llmbench.cli import report, sweep
from llmbench.cli.options.nightly import LATEST, NightlyOptions
from llmbench.cli.options.report import ReportOptions
from llmbench.cli.sweep import Step
from llmbench.errors import LlmbenchError, OutputError, UsageError
from llmbench.plan import WORK_FOLDER
from llmbench.records import target_label
from llmbench.reports import comparison as comparison_report
from llmbench.reports import history as history_report
from llmbench.reports import nightly as nightly_report
from llmbench.reports.console import Console
from llmbench.reports.render import Document, render
from llmbench.runs.finish import INTERRUPTED
from llmbench.stats import State
from llmbench.store import accepted_nights, atomic, run_folders, tables
from llmbench.store.dated_results import find_dated

REGRESSION, INCOMPARABLE = 1, 2
SUMMARY, PAGE = "summary.md", "report.html"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def main(options: NightlyOptions) -> int:
    """Do a night and return the exit code.

    It is 0 after a good night, 1 after a regression or a failed run, 2 if a target cannot be
    compared, 130 after Ctrl-C.

    Raises:
        UsageError: the sweep file cannot be read, a file of an earlier night is damaged, or there
            is no night to accept.
    """
    steps = list(sweep.steps_of(options))
    sets: dict[Path, list[Step]] = {}
    for step in steps:
        sets.setdefault(step.folder.parent, []).append(step)
    out = steps[0].folder.parent.parent
    if options.nights is not None and options.nights.resolve() != out.resolve():
        raise UsageError(f"{options.nights} is not the out folder of {options.file}: it is {out}")
    console = Console(quiet=False)
    if options.accept is not None:
        return _accept(list(sets), options, console)
    worst = sweep.main(options)
    if worst == INTERRUPTED:
        return worst
    judged = 0
    for folder, of_set in sets.items():
        if _has_result(folder / options.day):
            worst = max(worst, _Night(folder, options, console).finish(_missing(of_set)))
            judged += 1
    if not judged:
        console.warn(f"no result of {options.day} in {out}")
    return worst


def _has_result(folder: Path) -> bool:
    return any(folder.glob("*.parquet"))


def _missing(steps: Sequence[Step]) -> list[str]:
    """Return the targets of a night that have no file."""
    return [
        target_label(step.options.provider, model, step.options.label)
        for step in steps
        for model in step.options.model
        if not step.is_done(model)
    ]


class _Night:
    """The night of one problem set."""

    def __init__(self, folder: Path, options: NightlyOptions, console: Console) -> None:
        self.folder = folder
        self.date = options.day
        self.options = options
        self.console = console
        self.results = _results(folder, options.day)
        self.accepted = _accepted(folder, self.results)

    def finish(self, missing: Sequence[str]) -> int:
        """Judge the night, write its files, remove old nights and return its exit code."""
        lines = stats.judge(self.results, self.accepted, self.options.points)
        title = nightly_report.verdict(self.folder.name, self.date, lines, missing)
        states = set(lines["state"].to_list())
        summary = self.folder / self.date / SUMMARY
        atomic.write_text(summary, "\n".join(self._summary(title, lines.to_dicts(), lines)))
        self.console.print(str(summary))
        if states & {State.REGRESSION, State.CHANGED} or missing:
            self.console.warn(title)
        fresh = lines.filter(lines["state"].is_in([State.FIRST, State.CHANGED]))["target"]
        if len(fresh):
            self.accepted |= dict.fromkeys(fresh.to_list(), self.date)
            accepted_nights.write(self.folder, self.accepted)
        code = self._write_page() if self.options.page else 0
        self._prune()
        if State.REGRESSION in states:
            return REGRESSION
        return max(code, INCOMPARABLE if State.CHANGED in states else 0)

    def _summary(self, title: str, targets: Sequence[dict[str, Any]], lines: Any) -> Iterator[str]:
        """Yield the parts of the summary: the verdict, each target's changes, the history."""
        document = nightly_report.document(title, lines)
        yield f"# {_markdown(Document(document.blocks[:1], None))}"
        yield _markdown(Document(document.blocks[1:], None))
        tables_by_date = dict(self.results)
        for line in targets:
            if line["difference"] is None:
                continue
            name = line["target"]
            old, new = (
                tables_by_date[date].filter(target=name) for date in (line["accepted"], self.date)
            )
            compared = stats.compare([(line["accepted"], old), (self.date, new)])
            heading = nightly_report.heading(name, line["accepted"])
            yield f"## {_markdown(heading)}"
            yield _markdown(comparison_report.document(compared, verdicts=False))
        latest = self.results[-self.options.keep :]
        yield "## History\n"
        yield _markdown(history_report.document(stats.history(latest)))

    def _write_page(self) -> int:
        page = self.folder / self.date / PAGE
        try:
            report.write(ReportOptions(results=(self.folder,), out=page))
        except UsageError as error:  # a package is missing
            self.console.warn(f"{page} is not written: {error}")
            return 0
        except LlmbenchError as error:
            self.console.warn(str(error))
            return error.exit_code
        return 0

    def _prune(self) -> None:
        """Remove old nights with the work folders of their runs, but no accepted night."""
        dates = sorted(p.name for p in self.folder.iterdir() if _DATE.fullmatch(p.name))
        to_keep = {*dates[-self.options.keep :], *self.accepted.values()}
        for date in dates:
            if date not in to_keep:
                _remove(self.folder / date)
        oldest = min(dates[-self.options.keep :])
        for run, step in run_folders.sweep_steps(WORK_FOLDER):
            folder = Path(step.partition(": ")[0])
            if folder.parent == self.folder and folder.name < oldest and folder.name not in to_keep:
                try:
                    run_folders.remove(run)
                except OutputError as error:  # the verdict on the night stands
                    self.console.warn(str(error))


def _results(folder: Path, last: str) -> list[tuple[str, Any]]:
    """Return the results of the nights of a set up to a date, the oldest first."""
    return [
        (date, tables.load(paths, once=True))
        for date, paths in find_dated(folder).items()
        if date <= last
    ]


def _accepted(folder: Path, results: Sequence[tuple[str, Any]]) -> dict[str, str]:
    first: dict[str, str] = {}
    for date, table in results:
        for target in table["target"].unique().to_list():
            first.setdefault(target, date)
    return accepted_nights.read(folder, first)


def _accept(folders: Sequence[Path], options: NightlyOptions, console: Console) -> int:
    """Accept a night for the targets that have a result of it.

    Raises:
        UsageError: there is no such night, or no such target in it.
    """
    known: set[str] = set()
    count = 0
    for folder in (each for each in folders if each.is_dir()):
        results = _results(folder, "9999")
        dates = dict(results)
        known |= dates.keys()
        date = results[-1][0] if options.accept == LATEST else str(options.accept)
        targets = dates[date]["target"].unique().sort().to_list() if date in dates else []
        chosen = [each for each in targets if not options.target or each in options.target]
        if chosen:
            accepted = _accepted(folder, results) | dict.fromkeys(chosen, date)
            accepted_nights.write(folder, accepted)
            count += len(chosen)
            console.print(f"{folder}: accepted {date} for {', '.join(chosen)}")
    if not count:
        of = f" with {', '.join(options.target)}" if options.target else ""
        there = f"there are {', '.join(sorted(known)[-5:])}" if known else "there is none yet"
        raise UsageError(f"--accept {options.accept}: no such night{of}", hint=there)
    return 0


def _markdown(document: Document) -> str:
    return "".join(map(str, render(document, "markdown")))


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be removed: {error.strerror}") from None
