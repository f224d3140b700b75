"""`llmbench report`: results as one page."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from llmbench import plan, stats
from llmbench.cli.options.report import ReportOptions
from llmbench.errors import OutputError, ResultFileError, UsageError
from llmbench.records import Row
from llmbench.reports.console import Console
from llmbench.reports.sections import AttemptSections, Section
from llmbench.runners import load_all
from llmbench.store import artifacts, tables
from llmbench.store.artifacts import AttemptArtifacts
from llmbench.store.dated_results import group_by_date, result_files

NEEDED = ("altair", "jinja2", "pygments", "vl_convert")


def main(options: ReportOptions) -> int:
    """Write the page and return the exit code.

    Raises:
        UsageError: a result cannot be read, the page cannot be written, or a package is missing.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"not installed: {', '.join(missing)}: pip install 'llmbench[report]'")
    # Only now: it imports what may be missing.
    from llmbench.reports.html.page import Report, page

    paths = result_files(options.results)
    nights = [
        (night, tables.load(files, once=True)) for night, files in group_by_date(paths).items()
    ]
    table = stats.latest(nights)
    if table.is_empty():
        raise ResultFileError(f"{', '.join(map(str, paths))}: no row in any of them")
    trend = stats.history(nights) if len(nights) > 1 else None
    both = tables.with_repairs(table)
    rounds = stats.repair_rounds(*both) if both else None
    rows, sources = tables.rows(table), table[tables.SOURCE].to_list()
    texts = AttemptSections.load(options.problem_paths, load_all(options.runners))
    attempts = _attempts(options, rows, sources, texts)
    written = page(Report(table, rows, trend, rounds, attempts, [str(path) for path in paths]))
    try:
        options.out.write_text(written, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{options.out}: cannot be written: {error.strerror}") from None
    size = options.out.stat().st_size
    Console(quiet=False).print(f"{options.out}: {len(rows)} attempts, {size / 1e6:.1f} MB")
    return 0


def _attempts(
    options: ReportOptions, rows: Sequence[Row], sources: Sequence[str], texts: AttemptSections
) -> Iterator[tuple[int, Sequence[Section]]]:
    """The texts of each attempt, with the place of its row."""
    beside = defaultdict(list)  # files of one folder share their work folders
    for place, source in enumerate(sources):
        beside[Path(source).parent].append(place)
    for folder, places in beside.items():
        roots = (options.work_dir or folder / plan.WORK_FOLDER, plan.WORK_FOLDER)
        folders = artifacts.work_folders(folder, roots)
        lost = set(places)
        for number, found in artifacts.find_artifacts([rows[place] for place in places], folders):
            lost.remove(places[number])
            yield places[number], list(texts.sections(rows[places[number]], found))
        for place in sorted(lost):
            yield place, list(texts.sections(rows[place], AttemptArtifacts()))
