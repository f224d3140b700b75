"""`llmbench report`: results as one HTML page."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from llmbench import plan, stats
from llmbench.cli.options.report import ReportOptions
from llmbench.errors import OutputError, ResultFileError, UsageError
from llmbench.records import Row
from llmbench.reports.console import Console
from llmbench.reports.render import Document, render
from llmbench.reports.sections import AttemptSections, Section
from llmbench.runners import load_all
from llmbench.store import artifacts, tables
from llmbench.store.artifacts import AttemptArtifacts
from llmbench.store.dated_results import group_by_date, result_files
from llmbench.texts import counted

NEEDED = ("altair", "jinja2", "pygments", "vl_convert")


def main(options: ReportOptions) -> int:
    """Write the page and return the exit code.

    Raises:
        UsageError: a result cannot be read, the page cannot be written, or a package is missing.
    """
    console = Console(quiet=False)
    if options.format == "markdown":
        console.print_tables(render(_card(options), options.format))
    else:
        console.print(write(options))
    return 0


def _card(options: ReportOptions) -> Document:
    """Return the card of results, with the record of their run if all are of one.

    Raises:
        UsageError: a result cannot be read.
    """
    # Imported late: tables are slow to load.
    from llmbench.reports.card import card

    paths = result_files(options.results)
    table = tables.load(paths, once=True)
    if table.is_empty():
        raise ResultFileError(f"{', '.join(map(str, paths))}: no row in any of them")
    records = [tables.run_record(path) for path in paths]
    same = len({record["run"] if record else None for record in records}) == 1
    return card(table, records[0] if same else None)


def write(options: ReportOptions) -> str:
    """Write the page and return its path, number of attempts and size as a sentence.

    Raises:
        UsageError: a result cannot be read, the page cannot be written, or a package is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"not installed: {', '.join(missing)}: pip install 'llmbench[report]'")
    # Imported late: it needs packages that may be missing.
    from llmbench.reports.html.page import Report, page

    paths = result_files(options.results)
    results = [
        (date, tables.load(files, once=True)) for date, files in group_by_date(paths).items()
    ]
    table = stats.latest(results)
    if table.is_empty():
        raise ResultFileError(f"{', '.join(map(str, paths))}: no row in any of them")
    history = stats.history(results) if len(results) > 1 else None
    with_repairs = tables.with_repairs(table)
    rounds = stats.repair_rounds(*with_repairs) if with_repairs else None
    rows, sources = tables.rows(table), table[tables.SOURCE].to_list()
    texts = AttemptSections.load(options.problem_paths, load_all(options.runner_paths))
    sections = _sections(options, rows, sources, texts)
    html = page(Report(table, rows, history, rounds, sections, [str(path) for path in paths]))
    try:
        options.out.write_text(html, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{options.out}: cannot be written: {error.strerror}") from None
    size, attempts = options.out.stat().st_size, counted(len(rows), "attempt", "attempts")
    return f"{options.out}: {attempts}, {size / 1e6:.1f} MB"


def _sections(
    options: ReportOptions, rows: Sequence[Row], sources: Sequence[str], texts: AttemptSections
) -> Iterator[tuple[int, Sequence[Section]]]:
    """Yield the sections of each attempt, with the index of its row."""
    by_folder = defaultdict(list)  # files of one folder share their work folders
    for i, source in enumerate(sources):
        by_folder[Path(source).parent].append(i)
    for folder, indices in by_folder.items():
        roots = (options.work_dir or folder / plan.WORK_FOLDER, plan.WORK_FOLDER)
        folders = artifacts.work_folders(folder, roots)
        remaining = set(indices)
        for number, stored in artifacts.find_artifacts([rows[i] for i in indices], folders):
            i = indices[number]
            remaining.remove(i)
            yield i, list(texts.sections(rows[i], stored))
        for i in sorted(remaining):
            yield i, list(texts.sections(rows[i], AttemptArtifacts()))
